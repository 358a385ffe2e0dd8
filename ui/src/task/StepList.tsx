/** The plan as a list: who does what, and how far it is. */
import type { Step, Task } from '../api/types';
import { duration, usd } from '../parts/format';
import { mergeWords } from '../parts/Marks';
import { Monogram, stageGlyphs, stageWords } from '../parts/Seat';
import { seats } from '../theme/tokens';
import { factWords, meaningOf } from './facts';
import css from './StepList.module.css';

export function StepList({ task }: { task: Task }) {
  if (task.steps.length === 0) return null;
  return (
    <>
      <h2 className={css.title}>
        Steps
        {task.round > 1 ? (
          <span className={css.muted}>
            {' '}
            round {task.round} of {task.max_rounds}
          </span>
        ) : null}
      </h2>
      <ol className={css.list}>
        {task.steps.map((step) => (
          <li key={step.id} className={css.step} data-state={step.state}>
            <span className={css.glyph} title={stageWords[step.state]}>
              <span aria-hidden>{stageGlyphs[step.state]}</span>
            </span>
            <div className={css.what}>
              <span className={css.name}>
                <span title={step.title}>{stepName(step, task.card.title)}</span>{' '}
                <Monogram role={step.role} />
              </span>
              <span className={css.muted}>{stepLine(step)}</span>
              {step.trouble ? <span className={css.trouble}>{step.trouble}</span> : null}
            </div>
          </li>
        ))}
      </ol>
    </>
  );
}

/** A step of the standard pipeline repeats the task's title, which stands above it already. */
export function stepName(step: Step, taskTitle: string): string {
  const kind = step.kind.charAt(0).toUpperCase() + step.kind.slice(1);
  return step.title === `${kind}: ${taskTitle}` ? kind : step.title;
}

function stepLine(step: Step): string {
  const parts: string[] = [];
  if (step.state === 'running' && step.progress) parts.push(step.progress);
  else parts.push(stageWords[step.state]);
  if (step.seat && step.seat !== seats[step.role].name) parts.push(step.seat);
  if (step.merge) parts.push(mergeWords[step.merge]);
  if (step.verdict) parts.push(`says ${step.verdict}`);
  const verified = step.history.at(-1)?.verified;
  if (verified && meaningOf('verified', verified) !== 'plain') {
    parts.push(factWords('verified', verified));
  }
  if (step.attempts > 1) parts.push(`${step.attempts} attempts`);
  if (step.duration_ms > 0) parts.push(duration(step.duration_ms));
  if (step.cost_usd != null && step.cost_usd > 0) parts.push(usd(step.cost_usd));
  return parts.join(' · ');
}
