/** How a seat of the team looks: monogram and name, with its colour beside them. */
import type { Role, Stage, StageState } from '../api/types';
import { seats } from '../theme/tokens';
import css from './Seat.module.css';

export function Monogram({ role }: { role: Role }) {
  return (
    <span className={css.mono} data-role={role} aria-hidden>
      {seats[role].mono}
    </span>
  );
}

/** `title` names one of several seats of a role: `Code 2`. */
export function SeatName({ role, title }: { role: Role; title?: string }) {
  return (
    <span className={css.name} data-role={role}>
      <Monogram role={role} />
      {title ?? seats[role].name}
    </span>
  );
}

export const stageWords: Record<StageState, string> = {
  waiting: 'waiting',
  running: 'running',
  needs_you: 'needs you',
  parked: 'parked',
  done: 'done',
  failed: 'failed',
  skipped: 'skipped',
  cancelled: 'cancelled',
};

/** Beside the word, never in its place. */
export const stageGlyphs: Record<StageState, string> = {
  waiting: '○',
  running: '●',
  needs_you: '!',
  parked: '‖',
  done: '✓',
  failed: '×',
  skipped: '–',
  cancelled: '–',
};

const marks: Partial<Record<StageState, string>> = {
  done: '✓',
  failed: '×',
  needs_you: '!',
  parked: '‖',
  skipped: '–',
  cancelled: '–',
};

/** The hand-over, seat by seat: done, at work, still to come. */
export function StageRail({ stages }: { stages: readonly Stage[] }) {
  const words = stages.map(({ role, state }) => `${seats[role].name} ${stageWords[state]}`);
  return (
    <span className={css.rail} role="img" aria-label={`Stages: ${words.join(', ')}`}>
      {stages.map(({ role, state }, at) => (
        <span
          // A plan may give one seat two steps: the place is what tells them apart.
          // biome-ignore lint/suspicious/noArrayIndexKey: stages keep their places
          key={at}
          className={css.stage}
          data-role={role}
          data-state={state}
          title={`${seats[role].name}: ${stageWords[state]}`}
        >
          {seats[role].mono}
          {marks[state] ? <span className={css.mark}>{marks[state]}</span> : null}
        </span>
      ))}
    </span>
  );
}
