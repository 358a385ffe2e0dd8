/** The plan as a list: all that the graph shows, and what each step is about. */
import { useState } from 'react';
import type { Task } from '../api/types';
import { plural } from '../parts/format';
import { mergeWords, PriorityTag } from '../parts/Marks';
import { SeatName, stageGlyphs, stageWords } from '../parts/Seat';
import { Tag } from '../parts/Tag';
import { visible } from '../parts/visible';
import css from './PlanList.module.css';
import type { PlanRow } from './rows';
import { effortWords } from './words';

const placeOf = (id: number) => `plan-step-${id}`;

/** Brings a step of the list, or of its editor, into sight and gives it the focus. */
export function showStep(id: number) {
  const element = document.getElementById(placeOf(id));
  element?.scrollIntoView({ block: 'nearest' });
  element?.focus({ preventScroll: true });
}

/** What makes an element the one that {@link showStep} finds. */
export const asStep = (id: number) => ({ id: placeOf(id), tabIndex: -1 });

export function PlanList({ task, rows }: { task: Task; rows: PlanRow[] }) {
  return (
    <ol className={css.list} aria-label="The steps of the plan" data-testid="plan-list">
      {rows.map((row) => (
        <Row key={row.id} row={row} version={task.plan.version} />
      ))}
    </ol>
  );
}

/** Who takes it, and in which seat once it has one. */
export function Taker({ row }: { row: PlanRow }) {
  return <SeatName role={row.role} {...(row.seat ? { title: row.seat } : {})} />;
}

/** What a step waits for, in words. */
export function Waits({ after }: { after: readonly number[] }) {
  if (after.length === 0) return null;
  return (
    <span className={css.muted}>
      waits for {after.length === 1 ? 'step' : 'steps'} {after.join(', ')}
    </span>
  );
}

function Row({ row, version }: { row: PlanRow; version: number }) {
  const effort = effortWords(row);
  return (
    <li
      {...asStep(row.id)}
      className={css.row}
      data-state={row.state}
      data-testid={`step-${row.id}`}
    >
      <span className={css.glyph} aria-hidden>
        {stageGlyphs[row.state]}
      </span>
      <div className={css.what}>
        <div className={css.title}>
          <span className={css.id}>{row.id}</span> {row.title}
        </div>
        <div className={css.facts}>
          <Taker row={row} />
          <span className={css.state}>{stageWords[row.state]}</span>
          <Waits after={row.after} />
          {effort ? <span className={css.muted}>{effort}</span> : null}
        </div>
        <Marks row={row} />
        {row.state === 'running' && row.step?.progress ? (
          <p className={css.muted}>{row.step.progress}</p>
        ) : null}
        {row.step?.trouble ? <p className={css.trouble}>{row.step.trouble}</p> : null}
        <More key={version} row={row} />
      </div>
    </li>
  );
}

function Marks({ row }: { row: PlanRow }) {
  const priority = row.plan?.priority ?? 'normal';
  const marked = row.merge || row.mends || row.flags > 0 || row.step?.lane;
  if (!marked && (priority === 'normal' || priority === 'low')) return null;
  return (
    <div className={css.facts}>
      <PriorityTag priority={priority} />
      {row.step?.lane ? <Tag meaning="plain">in a copy of its own</Tag> : null}
      {row.merge ? (
        <Tag meaning={row.merge === 'mending' ? 'warning' : 'info'}>{mergeWords[row.merge]}</Tag>
      ) : null}
      {row.mends ? <Tag meaning="warning">mends the conflict of step {row.mends}</Tag> : null}
      {row.flags > 0 ? (
        <Tag meaning="warning">⚑ {plural(row.flags, 'thing')} to look at</Tag>
      ) : null}
    </div>
  );
}

/** What it is about, what it may touch, and what it has written, on demand. */
function More({ row }: { row: PlanRow }) {
  const [open, setOpen] = useState(false);
  const description = row.plan?.description || row.step?.description || '';
  const lists: [string, readonly string[]][] = [
    ['May touch', row.plan?.paths ?? []],
    ['Proven by', row.plan?.checks ?? []],
    ['Has written', row.step?.written ?? []],
  ];
  const filled = lists.filter(([, lines]) => lines.length > 0);
  if (description === '' && filled.length === 0) return null;
  return (
    <>
      <button
        type="button"
        className={css.toggle}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        {open ? 'Less' : 'More'}
        <span className={css.hidden}> about step {row.id}</span>
      </button>
      {open ? (
        <div className={css.more}>
          {description ? <p className={css.words}>{visible(description)}</p> : null}
          {filled.map(([name, lines]) => (
            <div key={name}>
              <span className={css.muted}>{name}: </span>
              {lines.map((line) => (
                <code key={line} className={css.code}>
                  {visible(line)}
                </code>
              ))}
            </div>
          ))}
        </div>
      ) : null}
    </>
  );
}
