/** A plan and how far it is, as one list: what was planned beside what became of it. */
import type { Merge, Plan, Role, StageState, Step, Task } from '../api/types';
import { stepName } from '../task/StepList';
import { type Planned, whole } from './draft';

export interface PlanRow {
  id: number;
  role: Role;
  title: string;
  state: StageState;
  /** `null` while no seat was given it. */
  seat: string | null;
  after: number[];
  merge: Merge | null;
  /** The step whose conflict it mends. */
  mends: number | null;
  /** What in its changes somebody has to look at. */
  flags: number;
  /** `null` for a step that nobody planned, such as one that mends a conflict. */
  plan: Planned | null;
  /** `null` for a step that is only in a draft. */
  step: Step | null;
}

export function rowsOf(task: Task, steps = task.plan.steps.map(whole)): PlanRow[] {
  const unplanned = task.steps.filter((step) => !task.plan.steps.some(({ id }) => id === step.id));
  // Without a plan the steps of the task are not going to be taken as they are.
  const others = task.plan.version === 0 ? [] : unplanned;
  return [
    ...steps.map((plan) => row(task, plan, task.steps.find((step) => step.id === plan.id) ?? null)),
    ...others.map((step) => row(task, null, step)),
  ];
}

function row(task: Task, plan: Planned | null, step: Step | null): PlanRow {
  const id = plan?.id ?? step?.id ?? 0;
  const title = plan?.title ?? step?.title ?? '';
  return {
    id,
    role: plan?.role ?? step?.role ?? 'code',
    title: step ? stepName({ ...step, title }, task.card.title) : title,
    state: step?.state ?? 'waiting',
    seat: step?.seat ?? null,
    after: plan?.after ?? step?.after ?? [],
    merge: step?.merge ?? null,
    mends: step?.mends ?? null,
    flags: task.flags.filter((flag) => flag.step === id).length,
    plan,
    step,
  };
}

/** Whether there is a plan to look at. */
export const isThere = (plan: Plan) => plan.version > 0 && plan.steps.length > 0;
