/** What NEXUS noticed in the changes, so that somebody looks at it before it is accepted. */
import type { Flag, Task } from '../api/types';
import { sentence } from '../parts/format';
import { SeatName } from '../parts/Seat';
import { Tag } from '../parts/Tag';
import { visible } from '../parts/visible';
import css from './Flags.module.css';

/** Beta has been told of it when she has begun to judge the round in which it was noticed. */
export const betaKnows = (task: Task, flag: Flag) =>
  task.steps.some(
    (step) => step.role === 'beta' && step.history.some(({ round }) => round >= flag.round),
  );

/** What lessens the proof comes first. */
const order = (flags: readonly Flag[]) =>
  [...flags].sort((a, b) => Number(b.weakens_proof) - Number(a.weakens_proof));

export function Flags({ task }: { task: Task }) {
  if (task.flags.length === 0) return null;
  return (
    <ul className={css.list} data-testid="flags">
      {order(task.flags).map((flag) => (
        <li key={`${flag.kind}-${flag.path}-${flag.line}-${flag.round}`} className={css.flag}>
          <div className={css.head}>
            <strong className={css.what}>
              <span className={css.glyph} aria-hidden>
                ⚑
              </span>{' '}
              {sentence(visible(flag.text))}
            </strong>
            {flag.weakens_proof ? <Tag meaning="warning">tests prove less</Tag> : null}
          </div>
          <code className={css.path}>{visible(flag.path)}</code>
          {flag.line ? <pre className={css.line}>{visible(flag.line)}</pre> : null}
          <p className={css.who}>
            <SeatName role={flag.role} /> in step {flag.step}, round {flag.round}.{' '}
            {betaKnows(task, flag) ? 'Beta was told.' : 'Beta will be told when she judges.'}
          </p>
        </li>
      ))}
    </ul>
  );
}
