/** The attempts at each step, and the four facts about each, side by side. */
import type { Attempt, Step, Task } from '../api/types';
import { clock, moment, plural } from '../parts/format';
import { SeatName, stageWords } from '../parts/Seat';
import { Claim, Tag } from '../parts/Tag';
import css from './Details.module.css';
import { factWords, meaningOf, sides } from './facts';
import { stepName } from './StepList';

export function Attempts({ task }: { task: Task }) {
  const taken = task.steps.filter((step) => step.history.length > 0);
  if (taken.length === 0) return <p className={css.none}>No step was taken yet.</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it is scrolled with the keyboard where it is narrow
    <div className={css.frame} tabIndex={0}>
      <table className={css.table} data-testid="attempts">
        <thead>
          <tr>
            <th scope="col">Attempt</th>
            {sides.map(({ side, name, source }) => (
              <th key={side} scope="col" title={source}>
                {name}
              </th>
            ))}
            <th scope="col">Began</th>
          </tr>
        </thead>
        {taken.map((step) => (
          <tbody key={step.id} data-testid={`attempts-${step.id}`}>
            <tr className={css.step}>
              <th scope="rowgroup" colSpan={6}>
                <span className={css.seat}>
                  <SeatName role={step.role} />
                  <span className={css.note}>
                    {stepName(step, task.card.title)} · {stageWords[step.state]} ·{' '}
                    {plural(step.history.length, 'turn')}
                  </span>
                </span>
              </th>
            </tr>
            {newestFirst(step).map((attempt) => (
              <Row key={attempt.turn_number} attempt={attempt} rounds={task.round > 1} />
            ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}

export const newestFirst = (step: Step) =>
  [...step.history].sort((a, b) => b.turn_number - a.turn_number);

function Row({ attempt, rounds }: { attempt: Attempt; rounds: boolean }) {
  return (
    <tr>
      <th scope="row" title={`Turn ${attempt.turn_number} of the task`}>
        {attempt.attempt}
        {rounds ? <span className={css.note}> round {attempt.round}</span> : null}
      </th>
      {sides.map(({ side }) => {
        const raw = attempt[side];
        return (
          <td key={side} title={raw} data-side={side}>
            {side === 'claim' && raw !== 'none' ? (
              <Claim>{factWords(side, raw)}</Claim>
            ) : side === 'verified' ? (
              <Tag meaning={meaningOf(side, raw)}>{factWords(side, raw)}</Tag>
            ) : (
              <span className={raw === 'none' ? css.note : undefined}>{factWords(side, raw)}</span>
            )}
          </td>
        );
      })}
      <td>
        <time dateTime={attempt.started_at} title={moment(attempt.started_at)}>
          {clock(attempt.started_at)}
        </time>
      </td>
    </tr>
  );
}
