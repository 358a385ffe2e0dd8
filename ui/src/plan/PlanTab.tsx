/** The plan of a task: who does what in which order, how far it is, and what was decided. */
import { Button } from '@mantine/core';
import { Pencil } from 'lucide-react';
import { lazy, type RefObject, Suspense, useEffect, useMemo, useRef, useState } from 'react';
import type { Estimate, Task } from '../api/types';
import { Boundary } from '../app/Boundary';
import { plural } from '../parts/format';
import { Notice } from '../parts/Notice';
import { Decisions } from './Decisions';
import { begin, isChanged, onto, type PlanDraft } from './draft';
import { keepDraft, useDrafts } from './drafts';
import { PlanEditor } from './PlanEditor';
import { PlanList, showStep } from './PlanList';
import css from './PlanTab.module.css';
import { isThere, rowsOf } from './rows';
import { Thinking } from './Thinking';
import { estimateLine, overlapWords, primeWords } from './words';

const PlanGraph = lazy(() => import('./PlanGraph'));

export function PlanTab({ task }: { task: Task }) {
  const { card, plan } = task;
  const kept = useDrafts((drafts) => drafts[card.id]);
  const fits = kept?.version === plan.version && plan.editable;
  const draft = kept && fits ? kept : null;
  const idle = kept !== undefined && !isChanged(kept);
  useEffect(() => {
    // A draft in which nothing was changed has nothing to lose: it follows the plan.
    if (idle && !fits) keepDraft(card.id, plan.editable ? begin(plan) : null);
  }, [idle, fits, card.id, plan]);
  const rows = useMemo(() => rowsOf(task, draft?.steps), [task, draft]);
  const { button, began, edit } = useEditing(task, draft !== null);
  return (
    <div className={css.page}>
      <Thinking id={card.id} />
      {kept && !draft && !idle ? <Aside task={task} draft={kept} /> : null}
      {isThere(plan) || draft ? (
        <>
          <Guesses task={task} editing={draft !== null} edit={edit} button={button} />
          <Overlaps task={task} />
          <div className={css.split}>
            <div className={css.graph}>
              <Boundary>
                <Suspense fallback={<div className={css.empty} aria-busy="true" />}>
                  <PlanGraph rows={rows} onPick={showStep} />
                </Suspense>
              </Boundary>
            </div>
            <div className={css.list}>
              {draft ? (
                <PlanEditor task={task} draft={draft} focus={began} />
              ) : (
                <PlanList task={task} rows={rows} />
              )}
            </div>
          </div>
        </>
      ) : (
        <p className={css.none}>
          {card.state === 'backlog'
            ? 'There is no plan yet. It is made when the task is started.'
            : 'There is no plan yet.'}
        </p>
      )}
      <Decisions task={task} />
      <p className={css.muted} data-testid="prime-used">
        {primeWords(task.prime)}
        {task.prime.model ? ` (${task.prime.model})` : ''}.
      </p>
    </div>
  );
}

/** Steps under way at the same time that have to do with the same file. */
function Overlaps({ task }: { task: Task }) {
  if (task.overlaps.length === 0) return null;
  return (
    <Notice meaning="warning">
      {task.overlaps.map((overlap) => (
        <p
          key={`${overlap.first}-${overlap.second}-${overlap.path}`}
          className={css.overlap}
          data-testid="overlap"
        >
          <span aria-hidden>⚠ </span>
          {overlapWords(overlap)}
        </p>
      ))}
      Their changes are put together when both are done. Look at the result.
    </Notice>
  );
}

/** Beginning to edit and ending it, without losing the place of the keyboard. */
function useEditing({ card, plan }: Task, editing: boolean) {
  const button = useRef<HTMLButtonElement>(null);
  const [began, setBegan] = useState(false);
  useEffect(() => {
    if (editing || !began) return;
    setBegan(false);
    button.current?.focus();
  }, [editing, began]);
  const edit = () => {
    keepDraft(card.id, begin(plan));
    setBegan(true);
  };
  return { button, began, edit };
}

interface GuessesProps {
  task: Task;
  editing: boolean;
  edit(): void;
  button: RefObject<HTMLButtonElement | null>;
}

/** Which plan it is, and what it is thought to take. A guess is shown as one. */
function Guesses({ task: { plan }, editing, edit, button }: GuessesProps) {
  return (
    <header className={css.head}>
      <div className={css.guesses} data-testid="estimate">
        <span className={css.version}>
          Plan v{plan.version} · {plural(plan.steps.length, 'step')}
        </span>
        <Guess name="The planner’s guess" guess={plan.estimate} />
        <Guess
          name={
            plan.usual ? `Usual here (${plural(plan.usual.samples, 'step')} before)` : 'Usual here'
          }
          guess={plan.usual}
        />
      </div>
      {plan.editable && !editing ? (
        <Button
          ref={button}
          variant="default"
          leftSection={<Pencil size={14} aria-hidden />}
          onClick={edit}
          data-testid="plan-edit"
        >
          Edit the plan
        </Button>
      ) : null}
    </header>
  );
}

function Guess({ name, guess }: { name: string; guess: Estimate | null | undefined }) {
  return (
    <span>
      <span className={css.muted}>{name}:</span> {estimateLine(guess)}
    </span>
  );
}

/** A draft that does not fit the plan any more. It is kept until the person says what becomes of it. */
function Aside({ task, draft }: { task: Task; draft: PlanDraft }) {
  const { card, plan } = task;
  const drop = (
    <Button variant="default" onClick={() => keepDraft(card.id, null)} data-testid="draft-drop">
      Drop my draft
    </Button>
  );
  if (!plan.editable) {
    return (
      <Notice meaning="warning" title="The plan cannot be edited now">
        Your draft is kept.
        <div className={css.choices}>{drop}</div>
      </Notice>
    );
  }
  return (
    <Notice meaning="warning" title="The plan changed meanwhile">
      <span data-testid="plan-conflict" role="status">
        v{plan.version} is shown, your draft of v{draft.version} is kept.
      </span>
      <div className={css.choices}>
        <Button
          variant="default"
          onClick={() => keepDraft(card.id, onto(draft, plan))}
          data-testid="draft-onto"
        >
          Put my changes onto v{plan.version}
        </Button>
        {drop}
      </div>
    </Notice>
  );
}
