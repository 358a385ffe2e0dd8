/** What has to be true of the result. Beta judges it as a whole, and the person has the last word. */
import type { Task } from '../api/types';
import { Claim } from '../parts/Tag';
import { visible } from '../parts/visible';
import css from './Checklist.module.css';

export function Checklist({ task }: { task: Task }) {
  const { checklist } = task.terms;
  const verdict = task.steps.findLast((step) => step.role === 'beta' && step.verdict)?.verdict;
  return (
    <>
      <ul className={css.list} data-testid="checklist">
        {checklist.map((line) => (
          <li key={line}>{visible(line)}</li>
        ))}
      </ul>
      <p className={css.judged}>
        {verdict ? (
          <>
            Beta, asked about all of it, <Claim>says: {verdict}</Claim>
          </>
        ) : (
          'Beta has not judged it yet.'
        )}
      </p>
    </>
  );
}
