/**
 * A plan as the person is about to change it. It lives in this window until it is saved; what may
 * be changed, and whether the result is a plan, the server says.
 */
import type { Plan, PlanBody, PlanStep, Role, StepKind } from '../api/types';

/** A step with nothing left out. */
export type Planned = Required<PlanStep>;

export interface PlanDraft {
  /** The version that is being edited. */
  version: number;
  /** The steps as they are in that version. */
  before: Planned[];
  steps: Planned[];
}

/** Who takes which kind of step. */
export const takes: Record<StepKind, Role> = {
  analysis: 'aria',
  implementation: 'code',
  tests: 'alpha',
  validation: 'beta',
};

export const whole = (step: PlanStep): Planned => ({
  description: '',
  after: [],
  priority: 'normal',
  paths: [],
  checks: [],
  estimate_seconds: null,
  estimate_usd: null,
  max_retries: null,
  requirements: undefined,
  role: takes[step.kind],
  begun: false,
  ...step,
});

export function begin(plan: Plan): PlanDraft {
  const steps = plan.steps.map(whole);
  return { version: plan.version, before: steps, steps };
}

/** What of a step can be edited. */
const fields = [
  'kind',
  'title',
  'description',
  'after',
  'priority',
  'paths',
  'checks',
  'estimate_seconds',
  'estimate_usd',
] as const;

type Field = (typeof fields)[number];
export type StepEdit = Partial<Pick<Planned, Field>>;

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

const differs = (a: Planned, b: Planned) => fields.some((field) => !same(a[field], b[field]));

const find = (steps: readonly Planned[], id: number) => steps.find((step) => step.id === id);

const freeId = (...all: (readonly Planned[])[]) =>
  Math.max(0, ...all.flat().map((step) => step.id)) + 1;

/** Everything that waits for the step, directly or through others. */
export function waitingFor(steps: readonly Planned[], id: number): Set<number> {
  const found = new Set<number>();
  const look = [id];
  for (let before = look.pop(); before !== undefined; before = look.pop()) {
    for (const step of steps) {
      if (found.has(step.id) || !step.after.includes(before)) continue;
      found.add(step.id);
      look.push(step.id);
    }
  }
  return found;
}

/** The steps it may wait for: none that waits for it already, for they would wait in a circle. */
export function offered(steps: readonly Planned[], id: number): Planned[] {
  const later = waitingFor(steps, id);
  return steps.filter((step) => step.id !== id && !later.has(step.id));
}

export function edited(draft: PlanDraft, id: number, part: StepEdit): PlanDraft {
  return {
    ...draft,
    steps: draft.steps.map((step) =>
      step.id === id && !step.begun
        ? { ...step, ...part, role: takes[part.kind ?? step.kind] }
        : step,
    ),
  };
}

/** Adds an empty step before those that judge the work, and says which it is. */
export function added(draft: PlanDraft): { draft: PlanDraft; id: number } {
  const id = freeId(draft.before, draft.steps);
  const step = whole({ id, kind: 'implementation', title: '' });
  const last = draft.steps.findLastIndex((each) => each.kind !== 'validation');
  return { draft: { ...draft, steps: draft.steps.toSpliced(last + 1, 0, step) }, id };
}

/** Takes a step out. What waited for it waits for what it waited for. */
export function removed(draft: PlanDraft, id: number): PlanDraft {
  const gone = find(draft.steps, id);
  if (!gone || gone.begun) return draft;
  const steps = draft.steps
    .filter((step) => step.id !== id)
    .map((step) =>
      step.after.includes(id)
        ? {
            ...step,
            after: [...new Set(step.after.flatMap((each) => (each === id ? gone.after : [each])))],
          }
        : step,
    );
  return { ...draft, steps };
}

/** Moves a step up or down in the list; the order in which steps are begun follows from `after`. */
export function moved(draft: PlanDraft, id: number, by: -1 | 1): PlanDraft {
  const from = draft.steps.findIndex((step) => step.id === id);
  const to = from + by;
  const step = draft.steps[from];
  if (!step || to < 0 || to >= draft.steps.length) return draft;
  return { ...draft, steps: draft.steps.toSpliced(from, 1).toSpliced(to, 0, step) };
}

const ids = (steps: readonly Planned[]) => steps.map((step) => step.id);

export interface Differences {
  added: number;
  changed: number;
  removed: number;
  reordered: boolean;
}

export function differences({ before, steps }: PlanDraft): Differences {
  const both = steps.flatMap((step) => {
    const was = find(before, step.id);
    return was ? [{ was, step }] : [];
  });
  const order = (all: readonly Planned[]) => ids(all.filter((step) => find(before, step.id)));
  const left = before.filter((step) => find(steps, step.id));
  return {
    added: steps.length - both.length,
    changed: both.filter(({ was, step }) => differs(was, step)).length,
    removed: before.length - both.length,
    reordered: !same(order(steps), ids(left)),
  };
}

export function isChanged(draft: PlanDraft): boolean {
  const found = differences(draft);
  return found.added + found.changed + found.removed > 0 || found.reordered;
}

/** What the person changed, in words: `1 added, 2 changed`. */
export function differenceWords(draft: PlanDraft): string {
  const found = differences(draft);
  const words = (['added', 'changed', 'removed'] as const).flatMap((what) =>
    found[what] > 0 ? [`${found[what]} ${what}`] : [],
  );
  if (found.reordered) words.push('another order');
  return words.join(', ') || 'nothing changed';
}

/** Whether the step is another than in the version that is edited. */
export function isOther(draft: PlanDraft, id: number): boolean {
  const was = find(draft.before, id);
  const step = find(draft.steps, id);
  return step !== undefined && (was === undefined || differs(was, step));
}

/**
 * What the person changed, done to a newer version of the plan: a field they touched is theirs, any
 * other is as it is now, and a begun step stays as it is.
 */
export function onto(draft: PlanDraft, plan: Plan): PlanDraft {
  const now = plan.steps.map(whole);
  let next = freeId(now, draft.before, draft.steps);
  const own = draft.steps.filter((step) => !find(draft.before, step.id));
  const renamed = new Map<number, number>();
  for (const step of own) if (find(now, step.id)) renamed.set(step.id, next++);
  const name = (id: number) => renamed.get(id) ?? id;

  const kept = now.flatMap((step): Planned[] => {
    const was = find(draft.before, step.id);
    if (!was || step.begun) return [step];
    const mine = find(draft.steps, step.id);
    return mine ? [merged(was, mine, step, name)] : [];
  });
  const fresh = own.map((step) => ({ ...step, id: name(step.id), after: step.after.map(name) }));
  // What was taken out meanwhile and edited here is wanted.
  const wanted = draft.steps.filter((step) => {
    const was = find(draft.before, step.id);
    return was && !find(now, step.id) && differs(was, step);
  });
  const all = [...kept, ...fresh, ...wanted];

  const mine = draft.steps.map((step) => (own.includes(step) ? name(step.id) : step.id));
  const order = differences(draft).reordered ? woven(mine, ids(now)) : woven(ids(now), mine);
  const steps = order.flatMap((id) => find(all, id) ?? []);
  return {
    version: plan.version,
    before: now,
    steps: steps.map((step) =>
      step.begun ? step : { ...step, after: step.after.filter((id) => find(all, id)) },
    ),
  };
}

function merged(was: Planned, mine: Planned, now: Planned, name: (id: number) => number): Planned {
  const part: Record<string, unknown> = {};
  for (const field of fields) {
    if (!same(was[field], mine[field])) part[field] = mine[field];
  }
  const step = { ...now, ...part };
  return { ...step, role: takes[step.kind], after: part.after ? mine.after.map(name) : step.after };
}

/** The first order, with what only the second has put behind what it follows there. */
function woven(first: readonly number[], second: readonly number[]): number[] {
  const order = [...first];
  second.forEach((id, at) => {
    if (order.includes(id)) return;
    const before = second[at - 1];
    order.splice(before === undefined ? 0 : order.indexOf(before) + 1, 0, id);
  });
  return order;
}

export const bodyOf = ({ version, steps }: PlanDraft): PlanBody => ({ version, steps });

export interface Problems {
  /** By the id of the step that they name. */
  steps: Map<number, string[]>;
  /** Those that are about the whole plan. */
  plan: string[];
}

/** All that the server found wrong, each next to the step it names. */
export function problemsOf(detail: string, steps: readonly Planned[]): Problems {
  const found: Problems = { steps: new Map(), plan: [] };
  const text = detail.replace(/^.*?cannot be used: /s, '');
  for (const problem of text.split(/;\s+|\n+/).filter((each) => each.trim() !== '')) {
    const id = Number(/\bstep (\d+)\b/i.exec(problem)?.[1]);
    if (find(steps, id)) found.steps.set(id, [...(found.steps.get(id) ?? []), problem]);
    else found.plan.push(problem);
  }
  return found;
}
