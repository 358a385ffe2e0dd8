import { expect, it } from 'vitest';
import { factWords, meaningOf, type Side } from './facts';

const all: Record<Side, string[]> = {
  process: ['not_started', 'running', 'closed', 'exited', 'signalled', 'killed', 'swept'],
  turn: ['starting', 'streaming', 'completed', 'interrupted', 'output_lost', 'something_new'],
  claim: ['none', 'text', 'done', 'pass', 'fail'],
  verified: [
    'pending',
    'not_reached',
    'not_applicable',
    'no_checks',
    'green',
    'broken_by_us',
    'red_before',
  ],
};

it('lets nothing look like success but what NEXUS verified as green', () => {
  const successes = Object.entries(all).flatMap(([side, raws]) =>
    raws.filter((raw) => meaningOf(side as Side, raw) === 'success').map((raw) => [side, raw]),
  );
  expect(successes).toEqual([['verified', 'green']]);
});

it('words a claim as what somebody says', () => {
  expect(factWords('claim', 'pass')).toBe('says: pass');
  expect(factWords('claim', 'done')).toBe('says: done');
});

it('shows a word it does not know as it came', () => {
  expect(factWords('turn', 'something_new')).toBe('something new');
});
