/** Made-up teamwork: tasks with lanes, flags, chains and plans, and everything that is known of them. */
import type {
  Decision,
  Flag,
  Milestone,
  Overlap,
  PrimeUse,
  Stage,
  Step,
  Task,
  TaskCard,
  Terms,
} from '../src/api/types';
import { ago, card, docs, question, sha, stages, uuid } from './basics.ts';
import { pickUpPoints } from './plans.ts';

const rail = (...all: [Stage['role'], Stage['state']][]): Stage[] =>
  all.map(([role, state]) => ({ role, state }));

/** Newest first. */
export function teamCards(): TaskCard[] {
  const asks = uuid();
  const judged = uuid();
  return [
    card({
      name: 'T-27',
      title: 'Rename the basket to cart everywhere',
      state: 'backlog',
      queued: true,
      queue_place: 2,
      note: 'waits for a free place',
      priority: 'low',
      stages: [],
      progress: { steps_done: 0, steps: 0, share: null },
      created_at: ago(3),
      actions: ['pause', 'cancel'],
    }),
    card({
      id: judged,
      name: 'T-26',
      title: 'Describe the release process',
      state: 'needs_you',
      project_id: docs.id,
      project_name: docs.name,
      note: 'Waits for your answer',
      active_role: 'prime',
      stages: stages(1, 'needs_you'),
      question: question(judged, {
        role: 'prime',
        kind: 'handed_in',
        asked_at: ago(4),
        text: 'Is what Code handed in for step 2 good enough?',
        detail:
          'The page names every command of a release, but not who may run them. The checklist asks for that.',
        why: 'Prime is not sure: the checklist can be read both ways.',
        digest: sha('7d2'),
        expires_at: null,
        waiting: false,
      }),
      tokens: 31_500,
      cost_usd: 0.41,
      progress: { steps_done: 1, steps: 4, share: 0.2 },
      started_at: ago(18),
      created_at: ago(19),
    }),
    card({
      name: 'T-25',
      title: 'Find out why the nightly job hangs',
      state: 'working',
      note: 'Run journalctl --user -u nightly',
      active_role: 'aria',
      stages: stages(0),
      tokens: 26_400,
      cost_usd: 0.31,
      at_work: 1,
      progress: { steps_done: 0, steps: 4, share: 0 },
      started_at: ago(24),
      created_at: ago(25),
    }),
    card({
      name: 'T-24',
      title: 'Serve smaller pictures to phones',
      state: 'backlog',
      priority: 'high',
      waits_for: [{ id: uuid(), name: 'T-12', state: 'failed', ended: 'the agent kept failing' }],
      stages: [],
      progress: { steps_done: 0, steps: 0, share: null },
      created_at: ago(26),
    }),
    card({
      name: 'T-23',
      title: 'Make the price import faster',
      state: 'review',
      note: 'All checks pass',
      stages: stages(4),
      tokens: 71_300,
      cost_usd: 1.02,
      standing: 'green',
      files_changed: 5,
      lines_added: 96,
      lines_removed: 131,
      flags: 2,
      progress: { steps_done: 4, steps: 4, share: 1 },
      started_at: ago(66),
      created_at: ago(70),
    }),
    card({
      id: asks,
      name: 'T-22',
      title: 'Send order confirmations in the customer’s language',
      state: 'needs_you',
      note: 'Waits for your yes to the plan',
      active_role: 'prime',
      priority: 'critical',
      stages: rail(
        ['aria', 'waiting'],
        ['code', 'waiting'],
        ['code', 'waiting'],
        ['alpha', 'waiting'],
        ['beta', 'waiting'],
      ),
      question: question(asks, {
        role: 'prime',
        kind: 'plan',
        asked_at: ago(1),
        text: 'Is this plan to be carried out?',
        detail: '',
        why: 'You wanted to look at the plan first. Nothing is begun before you say yes.',
        digest: sha('a41'),
        expires_at: null,
        waiting: false,
      }),
      tokens: 8_200,
      cost_usd: 0.06,
      progress: { steps_done: 0, steps: 5, share: 0 },
      started_at: ago(3),
      created_at: ago(4),
    }),
    card({
      name: 'T-21',
      title: 'Let shops offer pick-up points',
      state: 'working',
      note: 'Edit src/points/near.rs',
      active_role: 'code',
      priority: 'high',
      stages: rail(
        ['aria', 'done'],
        ['code', 'done'],
        ['code', 'running'],
        ['code', 'running'],
        ['code', 'parked'],
        ['alpha', 'waiting'],
        ['alpha', 'waiting'],
        ['beta', 'waiting'],
      ),
      tokens: 241_000,
      cost_usd: 3.4,
      budget_usd: 8,
      at_work: 3,
      flags: 1,
      progress: { steps_done: 2, steps: 8, share: 0.2 },
      started_at: ago(31),
      created_at: ago(34),
    }),
  ];
}

const lanes: Record<number, Partial<Step>> = {
  1: { state: 'done', seat: 'Aria', duration_ms: 210_000, cost_usd: 0.18, tokens: 21_000 },
  2: {
    state: 'done',
    seat: 'Code',
    duration_ms: 655_000,
    cost_usd: 0.92,
    tokens: 74_000,
    written: ['migrations/0042_points.sql', 'src/points/model.rs'],
    summary: 'Points have an address, a carrier and opening hours.',
  },
  3: {
    state: 'running',
    seat: 'Code',
    lane: true,
    duration_ms: 380_000,
    cost_usd: 0.61,
    tokens: 52_000,
    progress: 'The query is written; its index is next',
    written: ['src/points/near.rs'],
  },
  4: {
    state: 'running',
    seat: 'Code 2',
    lane: true,
    duration_ms: 372_000,
    cost_usd: 0.7,
    tokens: 58_000,
    written: ['src/checkout/choose.rs'],
  },
  5: {
    state: 'parked',
    seat: 'Code 3',
    lane: true,
    merge: 'mending',
    duration_ms: 402_000,
    cost_usd: 0.38,
    tokens: 30_000,
    written: ['src/points/hours.rs', 'src/points/model.rs'],
  },
};

function lanesOf(usual: Step): Step[] {
  const blank: Step = {
    ...usual,
    state: 'waiting',
    attempts: 0,
    tokens: 0,
    cost_usd: null,
    duration_ms: 0,
    summary: null,
    structured: true,
    verdict: null,
    findings: [],
    progress: null,
    trouble: null,
    history: [],
    seat: null,
  };
  const steps = pickUpPoints.map((step) => ({
    ...blank,
    id: step.id,
    role: step.role ?? 'code',
    kind: step.kind,
    title: step.title,
    description: step.description ?? '',
    after: step.after ?? [],
    attempts: step.id <= 5 ? 1 : 0,
    ...lanes[step.id],
  }));
  return [
    ...steps,
    {
      ...blank,
      id: 9,
      role: 'code',
      kind: 'implementation',
      title: 'Put step 5 together with the work of the others',
      after: [5],
      seat: 'Code 3',
      state: 'running',
      attempts: 1,
      duration_ms: 41_000,
      cost_usd: 0.07,
      tokens: 6_000,
      mends: 5,
    },
  ];
}

const decisions: Decision[] = [
  {
    at: ago(27),
    step: 1,
    turn: 1,
    ruling: 'accept',
    reason: 'It names four files, and each is there.',
    by: 'rules',
  },
  {
    at: ago(20),
    step: 2,
    turn: 2,
    ruling: 'retry',
    reason: 'The migration cannot be taken back, and the checklist asks for that.',
    by: 'prime',
  },
  {
    at: ago(14),
    step: 2,
    turn: 3,
    ruling: 'accept',
    reason: 'The migration can be taken back now; the checks pass.',
    by: 'prime',
  },
  {
    at: ago(3),
    step: 5,
    turn: 6,
    ruling: 'ask',
    reason: 'You said that opening hours may wait.',
    by: 'person',
  },
];

const flags: Record<string, Flag[]> = {
  'T-21': [
    {
      step: 2,
      role: 'code',
      round: 1,
      kind: 'todo_added',
      path: 'src/points/model.rs',
      line: '// TODO: what about points abroad?',
      text: 'a note to do something later was added',
      weakens_proof: false,
    },
  ],
  'T-23': [
    {
      step: 3,
      role: 'alpha',
      round: 1,
      kind: 'assertion_deleted',
      path: 'tests/import.rs',
      line: 'assert_eq!(imported.len(), 1204);',
      text: 'an assertion was deleted from a test that was there before',
      weakens_proof: true,
    },
    {
      step: 2,
      role: 'code',
      round: 1,
      kind: 'dependency_added',
      path: 'Cargo.toml',
      line: 'rayon = "1.10"',
      text: 'a dependency was added',
      weakens_proof: false,
    },
  ],
};

const overlaps: Overlap[] = [
  { first: 3, second: 5, path: 'src/points/model.rs', by_both: true },
  { first: 3, second: 4, path: 'src/delivery/options.rs', by_both: false },
];

function milestonesOf(of: TaskCard): Milestone[] {
  if (of.state === 'backlog') return [];
  const begun = of.stages.filter((stage) => stage.state === 'done').length;
  const at = (number: number) => (begun >= number ? ago(40 - number * 9) : null);
  return [
    { name: 'Plan made', at: ago(40) },
    { name: 'Analysis done', at: at(1) },
    { name: 'First change', at: at(2) },
    { name: 'All work done', at: begun === of.stages.length ? ago(6) : null },
    { name: 'Ready for your review', at: of.standing ? ago(5) : null },
  ];
}

function primeOf(of: TaskCard): PrimeUse {
  return of.name === 'T-21' || of.name === 'T-22'
    ? {
        model: 'claude-opus-4',
        calls: of.name === 'T-21' ? 4 : 1,
        tokens: of.name === 'T-21' ? 18_400 : 8_200,
        cost_usd: of.name === 'T-21' ? 0.21 : null,
      }
    : { model: null, calls: 0, tokens: 0, cost_usd: null };
}

const checklist = [
  'The shop’s own addresses can still be chosen',
  'A point that is closed for good is not offered',
  'The migration can be taken back',
];

/** A result is judged line by line; the last line was not asked about yet. */
const judged = [
  { met: true, why: 'both old addresses of the fixture are offered' },
  { met: false, why: 'point 17 is closed and still in the list' },
  { met: null, why: null },
];

export function termsOf(of: TaskCard): Terms {
  return {
    plan_first: of.name === 'T-22',
    seats: of.name === 'T-21' ? 3 : null,
    checklist: ['T-21', 'T-23', 'T-26'].includes(of.name) ? checklist : [],
    after: of.waits_for.map((task) => task.name),
    shares_context: of.name === 'T-24',
    template: of.name === 'T-23' ? 'improve' : null,
  };
}

/** What a task page shows beyond the steps of the standard pipeline. */
export function teamDetail(of: TaskCard, usual: Step[]) {
  const first = usual[0];
  return {
    steps: of.name === 'T-21' && first ? lanesOf(first) : usual,
    planner: of.name === 'T-22' || of.name === 'T-21' ? ('claude' as const) : ('standard' as const),
    decisions: of.name === 'T-21' ? decisions : [],
    prime: primeOf(of),
    flags: flags[of.name] ?? [],
    overlaps: of.name === 'T-21' ? overlaps : [],
    milestones: milestonesOf(of),
    checklist: termsOf(of).checklist.map((item, at) => ({
      item,
      ...(of.name === 'T-23' ? judged[at] : { met: null, why: null }),
    })),
    terms: termsOf(of),
  } satisfies Partial<Task>;
}
