/** A word or two on a tint. Meaning comes from the word; the tint only repeats it. */
import type { ReactNode } from 'react';
import type { TaskCard, TaskState } from '../api/types';
import type { Meaning } from '../theme/tokens';
import css from './Tag.module.css';

export function Tag({ meaning, children }: { meaning: Meaning | 'plain'; children: ReactNode }) {
  return (
    <span className={css.tag} data-meaning={meaning}>
      {children}
    </span>
  );
}

/** What an agent says of its own work. It never looks like a fact, least of all like success. */
export function Claim({ children }: { children: ReactNode }) {
  return <span className={css.claim}>{children}</span>;
}

/** Stands beside everything that a practice task shows. */
export function PracticeTag({ team }: { team: TaskCard['team'] }) {
  return team === 'practice' ? (
    <span className={css.practice} data-testid="practice-label">
      practice, no AI
    </span>
  ) : null;
}

export const stateWords: Record<TaskState, string> = {
  backlog: 'Backlog',
  planning: 'Planning',
  working: 'Working',
  needs_you: 'Needs you',
  review: 'In review',
  done: 'Done',
  paused: 'Paused',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

const stateMeanings: Record<TaskState, Meaning | 'plain'> = {
  backlog: 'plain',
  planning: 'info',
  working: 'info',
  needs_you: 'warning',
  review: 'info',
  done: 'success',
  paused: 'plain',
  failed: 'danger',
  cancelled: 'plain',
};

/** A task that was told to stop is not called paused or cancelled until it is. */
export function StateTag({ state, stopping }: { state: TaskState; stopping: boolean }) {
  return (
    <span data-testid="task-state" data-state={state}>
      <Tag meaning={stopping ? 'plain' : stateMeanings[state]}>
        {stopping ? 'Stopping…' : stateWords[state]}
      </Tag>
    </span>
  );
}
