/** What was decided about what was handed in: by the rules, by Prime, or by the person. */
import type { Task } from '../api/types';
import { clock, moment } from '../parts/format';
import css from './Decisions.module.css';
import { authorWords, rulingWords } from './words';

export function Decisions({ task }: { task: Task }) {
  if (task.decisions.length === 0) return null;
  return (
    <section aria-label="Decisions">
      <h2 className={css.title}>Decisions</h2>
      <ol className={css.list} data-testid="decisions">
        {task.decisions
          .map((decision) => (
            <li key={`${decision.step}-${decision.turn}-${decision.at}`} className={css.decision}>
              <time className={css.time} dateTime={decision.at} title={moment(decision.at)}>
                {clock(decision.at)}
              </time>
              <span className={css.who} data-by={decision.by}>
                {authorWords[decision.by]}
              </span>
              <span className={css.what}>
                <strong>
                  Step {decision.step} {rulingWords(decision)}
                </strong>{' '}
                {decision.reason}
              </span>
            </li>
          ))
          .reverse()}
      </ol>
    </section>
  );
}
