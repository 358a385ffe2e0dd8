/** What the task has reached, and what is still ahead. */
import type { Task } from '../api/types';
import { useNow } from '../live/clock';
import { ago, moment } from '../parts/format';
import css from './Milestones.module.css';

export function Milestones({ task }: { task: Task }) {
  const now = useNow(10_000);
  if (task.milestones.length === 0) return null;
  return (
    <>
      <h2 className={css.title}>Milestones</h2>
      <ol className={css.list} data-testid="milestones">
        {task.milestones.map(({ name, at }) => (
          <li key={name} className={css.milestone} data-reached={at != null}>
            <span className={css.glyph} aria-hidden>
              {at ? '✓' : '○'}
            </span>
            <span className={css.name}>{name}</span>
            {at ? (
              <time dateTime={at} title={moment(at)} className={css.when}>
                {ago(at, now)}
              </time>
            ) : (
              <span className={css.when}>not yet</span>
            )}
          </li>
        ))}
      </ol>
    </>
  );
}
