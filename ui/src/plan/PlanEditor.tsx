/** Editing a plan. It changes nothing until it is saved, and the server has the last word on it. */
import { Button } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQueryClient } from '@tanstack/react-query';
import { Plus } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { ApiError, api } from '../api/client';
import type { Task } from '../api/types';
import { say, sayProblem } from '../app/commands';
import { plural } from '../parts/format';
import { Notice } from '../parts/Notice';
import {
  added,
  bodyOf,
  differenceWords,
  isChanged,
  moved,
  type PlanDraft,
  type Problems,
  problemsOf,
  removed,
} from './draft';
import { keepDraft } from './drafts';
import css from './PlanEditor.module.css';
import { showStep } from './PlanList';
import { StepRow } from './StepRow';

interface Props {
  task: Task;
  draft: PlanDraft;
  /** The person has just begun to edit, so this is where the keyboard goes on. */
  focus: boolean;
}

export function PlanEditor({ task, draft, focus }: Props) {
  const { card } = task;
  const [open, setOpen] = useState<number | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const { busy, problems, save } = useSave(task, draft);
  const keep = (next: PlanDraft) => keepDraft(card.id, next);
  useEffect(() => {
    if (focus) heading.current?.focus();
  }, [focus]);
  const add = () => {
    const { draft: next, id } = added(draft);
    keep(next);
    setOpen(id);
  };
  return (
    <section className={css.editor} aria-label="Edit the plan" data-testid="plan-editor">
      <h2 ref={heading} tabIndex={-1} className={css.title}>
        Your draft of v{draft.version}
      </h2>
      {problems ? <Wrong problems={problems} /> : null}
      <ol className={css.list}>
        {draft.steps.map((step, at) => (
          <StepRow
            key={step.id}
            draft={draft}
            step={step}
            state={task.steps.find((each) => each.id === step.id)?.state ?? 'waiting'}
            first={at === 0}
            last={at === draft.steps.length - 1}
            open={open === step.id}
            problems={problems?.steps.get(step.id) ?? []}
            onOpen={() => setOpen(open === step.id ? null : step.id)}
            onChange={keep}
            onMove={(by) => keep(moved(draft, step.id, by))}
            onRemove={() => {
              keep(removed(draft, step.id));
              // The button is gone with its step; the keyboard goes on at the one beside it.
              const beside = draft.steps[at + 1] ?? draft.steps[at - 1];
              if (beside) showStep(beside.id);
            }}
          />
        ))}
      </ol>
      <Button
        variant="default"
        leftSection={<Plus size={14} aria-hidden />}
        onClick={add}
        data-testid="step-add"
      >
        Add a step
      </Button>
      <div className={css.bar}>
        <span className={css.words} role="status">
          {isChanged(draft) ? `Not saved: ${differenceWords(draft)}` : 'Nothing changed yet'}
        </span>
        <Button variant="default" onClick={() => drop(card.id, draft)} data-testid="plan-drop">
          {isChanged(draft) ? 'Drop changes' : 'Stop editing'}
        </Button>
        <Button
          aria-disabled={!isChanged(draft)}
          data-held={!isChanged(draft)}
          loading={busy}
          onClick={() => {
            if (isChanged(draft)) void save();
          }}
          data-testid="plan-save"
        >
          Save plan
        </Button>
      </div>
    </section>
  );
}

function useSave(task: Task, draft: PlanDraft) {
  const queries = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [problems, setProblems] = useState<Problems | null>(null);
  const key = ['task', task.card.id];
  const save = async () => {
    setBusy(true);
    try {
      const plan = await api.setPlan(task.card.id, bodyOf(draft));
      queries.setQueryData<Task>(key, (old) => old && { ...old, plan });
      keepDraft(task.card.id, null);
      say(`The plan of ${task.card.name} was saved`, `It is v${plan.version} now.`);
      await queries.invalidateQueries({ queryKey: key });
    } catch (error) {
      setProblems(await refused(error));
    } finally {
      setBusy(false);
    }
  };
  const refused = async (error: unknown): Promise<Problems | null> => {
    const status = error instanceof ApiError ? error.problem.status : 0;
    if (error instanceof ApiError && status === 400) return problemsOf(error.message, draft.steps);
    // The plan may have changed meanwhile. Once it is read, the page shows it beside the draft.
    if (status === 409) await queries.invalidateQueries({ queryKey: key });
    const now = queries.getQueryData<Task>(key)?.plan.version;
    if (now === draft.version || status !== 409) sayProblem('The plan was not saved', error);
    return null;
  };
  return { busy, problems, save };
}

/** Takes the draft away, and offers it back. */
function drop(task: string, draft: PlanDraft) {
  keepDraft(task, null);
  if (!isChanged(draft)) return;
  const id = `plan-${task}`;
  const undo = () => {
    notifications.hide(id);
    keepDraft(task, draft);
  };
  notifications.show({
    id,
    title: 'Your changes to the plan were dropped',
    withBorder: true,
    autoClose: 15_000,
    message: (
      <Button variant="subtle" size="compact-xs" onClick={undo}>
        Undo
      </Button>
    ),
  });
}

/** Everything the server found wrong at once; what names a step stands beside that step too. */
function Wrong({ problems }: { problems: Problems }) {
  const panel = useRef<HTMLDivElement>(null);
  const beside = [...problems.steps.values()].reduce((sum, each) => sum + each.length, 0);
  // They are found far down, at the button that saves.
  // biome-ignore lint/correctness/useExhaustiveDependencies: new ones are what is gone to
  useEffect(() => {
    panel.current?.focus();
  }, [problems]);
  return (
    <div ref={panel} tabIndex={-1} role="alert" data-testid="plan-problems">
      <Notice meaning="danger" title="The plan cannot be used as it is">
        {problems.plan.map((problem) => (
          <p key={problem} className={css.problem}>
            {problem}
          </p>
        ))}
        {beside > 0 ? (
          <p className={css.problem}>{plural(beside, 'problem')} beside the steps below.</p>
        ) : null}
      </Notice>
    </div>
  );
}
