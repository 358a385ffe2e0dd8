/**
 * The four facts of an attempt in plain words. They come from four sides and are never mixed:
 * only what NEXUS verified itself may look like success.
 */
import type { Facts } from '../api/types';
import type { Meaning } from '../theme/tokens';

export type Side = 'process' | 'turn' | 'claim' | 'verified';

export const sides: readonly { side: Side; name: string; source: string }[] = [
  { side: 'process', name: 'Process', source: 'What became of the program that carried it' },
  { side: 'turn', name: 'Turn', source: 'How the prompt and its answer ended' },
  { side: 'claim', name: 'Claim', source: 'What the agent says. It proves nothing' },
  { side: 'verified', name: 'Verified', source: 'What NEXUS found out itself' },
];

const words: Record<Side, Record<string, string>> = {
  process: {
    not_started: 'none was started',
    running: 'running',
    closed: 'closed when asked to',
    exited: 'ended by itself',
    signalled: 'ended by a signal',
    killed: 'had to be killed',
    swept: 'gone with an earlier NEXUS',
  },
  turn: {
    starting: 'starting',
    streaming: 'under way',
    completed: 'finished',
    interrupted: 'stopped on request',
    timed_out: 'ran out of time',
    rate_limited: 'usage limit',
    overloaded: 'model overloaded',
    auth_required: 'not logged in',
    credit_exhausted: 'no credit',
    budget_exhausted: 'cost cap used up',
    context_exhausted: 'context full',
    session_lost: 'session lost',
    refused: 'refused by the model',
    bad_protocol: 'answer not readable',
    exited: 'cut off: the program ended',
    signalled: 'cut off by a signal',
    could_not_start: 'could not start',
    output_lost: 'cut off: outcome not known',
  },
  claim: {
    none: 'says nothing',
    text: 'wrote text only',
    done: 'says: done',
    pass: 'says: pass',
    fail: 'says: fail',
  },
  verified: {
    pending: 'not checked yet',
    not_reached: 'not reached',
    not_applicable: 'nothing to check',
    no_checks: 'no checks to run',
    green: 'checks pass',
    broken_by_us: 'breaks a check',
    red_before: 'red, as before',
  },
};

/** A word this version does not know is shown as it came. */
export const factWords = (side: Side, raw: string) => words[side][raw] ?? raw.replaceAll('_', ' ');

/** Nothing but `green` is success, and nothing but a verified fact has a colour. */
export function meaningOf(side: Side, raw: Facts[Side]): Meaning | 'plain' {
  if (side !== 'verified') return 'plain';
  switch (raw) {
    case 'green':
      return 'success';
    case 'broken_by_us':
      return 'danger';
    case 'red_before':
      return 'warning';
    default:
      return 'plain';
  }
}
