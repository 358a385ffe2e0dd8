import { expect, it } from 'vitest';
import { planned } from '../../dev/plans';
import { card, World } from '../../dev/world';
import type { Estimate, Task } from '../api/types';
import { whole } from './draft';
import { rowsOf } from './rows';
import { effortWords, estimateLine, overlapWords, primeWords, rulingWords } from './words';

const guess: Estimate = { seconds: 3_600, critical_seconds: 1_500, cost_usd: 2.5, samples: 0 };

it('says what is not known of a guess', () => {
  expect(estimateLine(guess)).toBe('1 h of work, 25 min from start to end, $2.50');
  expect(estimateLine({ ...guess, cost_usd: null })).toMatch(/end, cost unknown$/);
  expect(estimateLine(null)).toBe('unknown');
});

it('says what Prime used, and that rules use nothing', () => {
  const used = { model: 'm', calls: 4, tokens: 18_400, cost_usd: 0.21 };
  expect(primeWords(used)).toBe('Prime used 18.4k tok, $0.21 in 4 calls; the supervisor itself: 0');
  expect(primeWords({ ...used, calls: 1, cost_usd: null })).toContain('cost not known in 1 call;');
  expect(primeWords({ model: null, calls: 0, tokens: 0, cost_usd: 0 })).toMatch(/no model/);
});

it('tells two that wrote the same file from one that only plans to', () => {
  const overlap = { first: 3, second: 5, path: 'a.rs', by_both: true };
  expect(overlapWords(overlap)).toBe('Steps 3 and 5 have both written a.rs');
  expect(overlapWords({ ...overlap, by_both: false })).toMatch(/one of them has written it$/);
});

it('shows a ruling it does not know as it came', () => {
  const decision = { at: '', step: 1, turn: 1, reason: '', by: 'rules' as const };
  expect(rulingWords({ ...decision, ruling: 'retry' })).toBe('once more');
  expect(rulingWords({ ...decision, ruling: 'postpone' })).toBe('postpone');
});

const world = new World();
const task = world.task('T-21') as Task;

it('shows what was planned beside what became of it, and what nobody planned last', () => {
  const rows = rowsOf(task);
  expect(rows.map((row) => row.id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(rows[1]).toMatchObject({ state: 'done', seat: 'Code', flags: 1 });
  expect(rows[4]).toMatchObject({ seat: 'Code 3', merge: 'mending' });
  expect(rows[8]).toMatchObject({ mends: 5, plan: null });
  expect(rows.slice(0, 2).map(effortWords)).toEqual([
    '3 min · $0.18 (guess 4 min · $0.20)',
    '10 min · $0.92 (guess 8 min · $0.60)',
  ]);
  expect(rows.slice(5, 6).map(effortWords)).toEqual(['guess 5 min · $0.30']);
});

it('shows a draft in place of the plan', () => {
  const steps = [whole(planned(12, 'tests', 'Only in the draft', []))];
  const [row] = rowsOf(task, steps);
  expect(row).toMatchObject({ id: 12, state: 'waiting', seat: null, step: null });
});

it('has no steps while there is no plan', () => {
  const backlog =
    world.tasks.find((each) => each.state === 'backlog') ?? card({ state: 'backlog' });
  expect(rowsOf(world.task(backlog.id) as Task)).toEqual([]);
});
