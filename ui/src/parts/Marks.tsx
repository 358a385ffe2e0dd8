/** Small marks that stand beside a task or a step, each with its word. */
import type { Merge, Priority, TaskCard } from '../api/types';
import css from './Marks.module.css';
import { stateWords, Tag } from './Tag';

/** Where the result is of a step that was done side by side with others. */
export const mergeWords: Record<Merge, string> = {
  due: 'waits to be put together',
  merging: 'being put together',
  mending: 'conflict is being mended',
};

/** Only what is more urgent than the rest is worth a mark. */
export function PriorityTag({ priority }: { priority: Priority }) {
  switch (priority) {
    case 'critical':
      return <Tag meaning="danger">‼ Critical</Tag>;
    case 'high':
      return <Tag meaning="plain">↑ High</Tag>;
    case 'normal':
    case 'low':
      return null;
  }
}

/** How many things in its changes somebody has to look at. */
export function FlagsTag({ flags }: { flags: number }) {
  return flags > 0 ? (
    <Tag meaning="warning">
      <span aria-hidden>⚑</span> {flags} to look at
    </Tag>
  ) : null;
}

/** Said where it is more than the one whose line is shown. */
export function AtWork({ card }: { card: TaskCard }) {
  return card.at_work > 1 ? <span className={css.muted}>{card.at_work} at work</span> : null;
}

/** Which tasks have to be done first, and how they are. */
export function waitsWords({ waits_for }: TaskCard): string | null {
  if (waits_for.length === 0) return null;
  const tasks = waits_for.map(({ name, state }) => `${name} (${stateWords[state].toLowerCase()})`);
  return `waits for ${tasks.join(', ')}`;
}

/** One of them cannot come to its end by itself, so this one would wait for ever. */
export const waitsInVain = ({ waits_for }: TaskCard) =>
  waits_for.some(({ state }) => state === 'failed' || state === 'cancelled');

export function WaitsTag({ card }: { card: TaskCard }) {
  const words = waitsWords(card);
  if (!words) return null;
  return <Tag meaning={waitsInVain(card) ? 'warning' : 'plain'}>{words}</Tag>;
}

export function QueueTag({ card }: { card: TaskCard }) {
  return card.queue_place == null ? null : (
    <Tag meaning="plain">place {card.queue_place} in the queue</Tag>
  );
}

/** How far it is: steps counted, the bar weighed by what the plan says each takes. */
export function ProgressLine({ card }: { card: TaskCard }) {
  const { steps, steps_done, share } = card.progress;
  if (share == null || steps === 0) return null;
  const words = `${steps_done} of ${steps} steps`;
  return (
    <div className={css.progress}>
      <progress
        className={css.bar}
        value={share}
        max={1}
        aria-label="Progress, weighed by the plan"
        title="Weighed by what the plan says each step takes"
      />
      <span className={css.muted}>{words}</span>
    </div>
  );
}
