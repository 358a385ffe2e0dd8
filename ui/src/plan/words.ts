/** Plans in words. */
import type { Author, Decision, Estimate, Overlap, PrimeUse, StepKind } from '../api/types';
import { duration, plural, tokens, usd } from '../parts/format';
import { seats } from '../theme/tokens';
import { takes } from './draft';
import type { PlanRow } from './rows';

const kindWords: Record<StepKind, string> = {
  analysis: 'Analysis',
  implementation: 'Implementation',
  tests: 'Tests',
  validation: 'Validation',
};

/** Kinds of step with who takes them, in the order of the standard pipeline. */
export const kindNames = (Object.keys(kindWords) as StepKind[]).map((kind) => ({
  value: kind,
  label: `${kindWords[kind]} (${seats[takes[kind]].name})`,
}));

export const authorWords: Record<Author, string> = {
  rules: 'Rules',
  prime: 'NEXUS Prime',
  person: 'You',
};

const rulings: Record<string, string> = {
  accept: 'accepted',
  retry: 'once more',
  replan: 'planned anew',
  ask: 'asked you',
};

/** A word this version does not know is shown as it came. */
export const rulingWords = ({ ruling }: Decision) => rulings[ruling] ?? ruling;

/** A guess in a line; what is not known says so. */
export function estimateLine(guess: Estimate | null | undefined): string {
  if (!guess) return 'unknown';
  const total = duration(guess.seconds * 1000);
  const critical = duration(guess.critical_seconds * 1000);
  const cost = guess.cost_usd == null ? 'cost unknown' : usd(guess.cost_usd);
  return `${total} of work, ${critical} from start to end, ${cost}`;
}

/** What NEXUS Prime used. The supervisor is rules, and rules use nothing. */
export function primeWords(prime: PrimeUse): string {
  if (prime.calls === 0) return 'Prime asked no model; the supervisor itself: 0 tokens';
  const cost = prime.cost_usd == null ? 'cost not known' : usd(prime.cost_usd);
  return `Prime used ${tokens(prime.tokens)}, ${cost} in ${plural(prime.calls, 'call')}; the supervisor itself: 0`;
}

export function overlapWords({ first, second, path, by_both }: Overlap): string {
  return by_both
    ? `Steps ${first} and ${second} have both written ${path}`
    : `Steps ${first} and ${second} both have to do with ${path}; one of them has written it`;
}

/** How long it took and what it cost; `null` where nothing is known. */
function real({ step }: PlanRow): string | null {
  const took = step && step.duration_ms > 0 ? duration(step.duration_ms) : null;
  return [took, step?.cost_usd ? usd(step.cost_usd) : null].filter(Boolean).join(' · ') || null;
}

/** What it was thought to take and to cost. */
function thought({ plan }: PlanRow): string | null {
  const took = plan?.estimate_seconds == null ? null : duration(plan.estimate_seconds * 1000);
  const cost = plan?.estimate_usd == null ? null : usd(plan.estimate_usd);
  const words = [took, cost].filter(Boolean).join(' · ');
  return words ? `guess ${words}` : null;
}

/** What it took, and beside it what was thought. */
export function effortWords(row: PlanRow): string | null {
  const took = real(row);
  const guess = thought(row);
  return took && guess ? `${took} (${guess})` : (took ?? guess);
}

/** What it took, or was thought to while that is not known. */
export const shortEffort = (row: PlanRow) => real(row) ?? thought(row);
