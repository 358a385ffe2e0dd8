/** What has to be true of the result, and what Beta says of each line. The person has the last word. */
import type { ChecklistItem, Task } from '../api/types';
import { Claim } from '../parts/Tag';
import { visible } from '../parts/visible';
import css from './Checklist.module.css';

export function Checklist({ items }: { items: ChecklistItem[] }) {
  return (
    <ul className={css.list} data-testid="checklist">
      {items.map((each) => (
        <li key={each.item}>
          {visible(each.item)}
          <Judged {...each} />
        </li>
      ))}
    </ul>
  );
}

/** A task as an older engine tells it has the lines alone. */
export function checklistOf(task: Task): ChecklistItem[] {
  return task.checklist ?? task.terms.checklist.map((item) => ({ item }));
}

function Judged({ met, why }: ChecklistItem) {
  if (met === null || met === undefined) {
    return <p className={css.judged}>Beta has not judged it yet.</p>;
  }
  return (
    <p className={css.judged} data-met={met}>
      <Claim>{met ? 'Beta says it is met' : 'Beta says it is not met'}</Claim>
      {why ? <>: {visible(why)}</> : null}
    </p>
  );
}
