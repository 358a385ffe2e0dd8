/** The plans of the made-up NEXUS, and its rules for editing them, as far as the page meets them. */
import type {
  Estimate,
  Plan,
  PlanBody,
  PlanStep,
  Role,
  Step,
  StepKind,
  TaskCard,
} from '../src/api/types';

/** A request that is not met, with the status and the code of the real server. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

export const roleOf: Record<StepKind, Role> = {
  analysis: 'aria',
  implementation: 'code',
  tests: 'alpha',
  validation: 'beta',
};

export function planned(
  id: number,
  kind: StepKind,
  title: string,
  after: number[],
  part: Partial<PlanStep> = {},
): PlanStep {
  return {
    id,
    kind,
    title,
    description: '',
    after,
    priority: 'normal',
    paths: [],
    checks: [],
    estimate_seconds: null,
    estimate_usd: null,
    requirements: { input_data: {}, expected_output: {}, constraints: {} },
    role: roleOf[kind],
    begun: false,
    ...part,
  };
}

/** Eight steps, three of them side by side: what T-21 is at work on. */
export const pickUpPoints: PlanStep[] = [
  planned(1, 'analysis', 'Find out how a delivery is chosen today', [], {
    description: 'Name the files that decide it, and what a pick-up point would change in each.',
    estimate_seconds: 240,
    estimate_usd: 0.2,
  }),
  planned(2, 'implementation', 'Keep pick-up points in the database', [1], {
    paths: ['migrations/', 'src/points/model.rs'],
    checks: ['cargo test -p points'],
    estimate_seconds: 480,
    estimate_usd: 0.6,
    priority: 'high',
  }),
  planned(3, 'implementation', 'List the points near a postcode', [2], {
    paths: ['src/points/'],
    estimate_seconds: 600,
    estimate_usd: 0.7,
  }),
  planned(4, 'implementation', 'Choose a point at the checkout', [2], {
    paths: ['src/checkout/', 'src/delivery/options.rs'],
    estimate_seconds: 900,
    estimate_usd: 0.9,
  }),
  planned(5, 'implementation', 'Show when a point is open', [2], {
    paths: ['src/points/hours.rs'],
    estimate_seconds: 420,
    estimate_usd: 0.4,
    priority: 'low',
  }),
  planned(6, 'tests', 'Test the list at its edges', [3], {
    paths: ['tests/points.rs'],
    estimate_seconds: 300,
    estimate_usd: 0.3,
  }),
  planned(7, 'tests', 'Test a whole order with a pick-up point', [4, 5], {
    paths: ['tests/checkout.rs'],
    estimate_seconds: 420,
    estimate_usd: 0.4,
  }),
  planned(8, 'validation', 'Judge the change against the wish', [6, 7], {
    estimate_seconds: 240,
    estimate_usd: 0.2,
  }),
];

/** What T-22 asks a yes for. */
export const confirmations: PlanStep[] = [
  planned(1, 'analysis', 'Find where mails are written and which languages there are', [], {
    description: 'Say where the language of a customer is known, and where it is not.',
    estimate_seconds: 240,
    estimate_usd: 0.2,
  }),
  planned(2, 'implementation', 'Take the texts out of the code', [1], {
    paths: ['src/mail/', 'texts/'],
    estimate_seconds: 720,
    estimate_usd: 0.8,
  }),
  planned(3, 'implementation', 'Choose the text by the customer’s language', [2], {
    paths: ['src/mail/send.rs'],
    checks: ['cargo test mail'],
    estimate_seconds: 480,
    estimate_usd: 0.5,
  }),
  planned(4, 'tests', 'Test every language, and one that is not there', [3], {
    paths: ['tests/mail.rs'],
    estimate_seconds: 360,
    estimate_usd: null,
  }),
  planned(5, 'validation', 'Judge the change against the wish', [4]),
];

const kinds: readonly StepKind[] = ['analysis', 'implementation', 'tests', 'validation'];

/** The plan behind the four steps of the standard pipeline. */
function standard(steps: readonly Step[]): PlanStep[] {
  return steps.map((step, at) =>
    planned(step.id, kinds[at] ?? 'implementation', step.title, step.after, {
      description: step.description,
      begun: step.state !== 'waiting',
    }),
  );
}

function problems(steps: readonly PlanStep[]): string[] {
  const found: string[] = [];
  if (steps.length === 0) found.push('it has no steps');
  for (const step of steps) {
    if (step.title.trim() === '') found.push(`step ${step.id} has no title`);
    for (const before of step.after ?? []) {
      const other = steps.find((each) => each.id === before);
      if (!other) found.push(`step ${step.id} waits for step ${before}, which is not there`);
      else if (other.kind === 'validation' && step.kind !== 'validation') {
        found.push(
          `step ${step.id} waits for step ${before}, which judges the work when all of it is done`,
        );
      }
    }
  }
  return found;
}

/** All steps added up, and the longest chain; unknown where one step says nothing. */
function estimateOf(steps: readonly PlanStep[]): Estimate | null {
  if (steps.some((step) => step.estimate_seconds == null)) return null;
  const took = new Map<number, number>();
  const until = (step: PlanStep): number => {
    const known = took.get(step.id);
    if (known !== undefined) return known;
    const before = steps.filter((each) => step.after?.includes(each.id)).map(until);
    const all = Math.max(0, ...before) + (step.estimate_seconds ?? 0);
    took.set(step.id, all);
    return all;
  };
  const costs = steps.map((step) => step.estimate_usd);
  return {
    seconds: steps.reduce((sum, step) => sum + (step.estimate_seconds ?? 0), 0),
    critical_seconds: Math.max(...steps.map(until)),
    cost_usd: costs.some((cost) => cost == null)
      ? null
      : costs.reduce<number>((sum, cost) => sum + (cost ?? 0), 0),
    samples: 0,
  };
}

export class Plans {
  private edited = new Map<string, { version: number; steps: PlanStep[] }>();

  /** The plan of a task; `steps` are those of the standard pipeline. */
  of(card: TaskCard, steps: readonly Step[]): Plan {
    const own = card.name === 'T-21' ? pickUpPoints : card.name === 'T-22' ? confirmations : null;
    const { version, steps: now } = this.edited.get(card.id) ?? {
      version: card.state === 'backlog' ? 0 : 1,
      steps: own
        ? own.map((step) => ({ ...step, begun: card.name === 'T-21' && step.id <= 5 }))
        : standard(steps),
    };
    const waiting = card.question?.kind === 'plan';
    return {
      version,
      plan_first: card.name === 'T-22',
      waiting,
      editable: waiting || ['planning', 'working', 'paused'].includes(card.state),
      steps: version === 0 ? [] : now,
      estimate: estimateOf(now),
      usual: own ? { seconds: 2_460, critical_seconds: 1_620, cost_usd: 2.1, samples: 23 } : null,
    };
  }

  /** Takes an edited plan, or says all that is wrong with it. */
  set(card: TaskCard, now: Plan, body: PlanBody): void {
    if (!now.editable) throw new Refused(409, 'not_now', `${card.name} cannot be planned anew now`);
    if (body.version !== now.version) {
      throw new Refused(
        409,
        'not_now',
        `the plan was changed meanwhile: it is version ${now.version}, and version ${body.version} was edited`,
      );
    }
    const found = problems(body.steps);
    if (found.length > 0) {
      throw new Refused(400, 'bad_request', `the plan cannot be used: ${found.join('; ')}`);
    }
    this.edited.set(card.id, {
      version: now.version + 1,
      steps: body.steps.map((step) => ({ ...step, role: roleOf[step.kind] })),
    });
  }

  /** Somebody else changes the plan, as Prime may. */
  change(card: TaskCard, now: Plan, steps: PlanStep[]): void {
    this.edited.set(card.id, { version: now.version + 1, steps });
  }
}
