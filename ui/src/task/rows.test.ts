import { expect, it } from 'vitest';
import type { TimelineItem, TimelineKind } from '../api/types';
import { merge, rows } from './rows';

let second = 0;
const item = (id: string, kind: TimelineKind, part: Partial<TimelineItem> = {}): TimelineItem => ({
  id,
  at: new Date(Date.UTC(2026, 0, 1, 0, 0, second++)).toISOString(),
  kind,
  text: id,
  role: 'code',
  turn: 1,
  ...part,
});
const started = (id: string, call: string, part = {}) =>
  item(id, 'tool_started', { call, ...part });
const ended = (id: string, call: string, part = {}) => item(id, 'tool_ended', { call, ...part });

it('makes one row of a call and its answer', () => {
  const [row, ...rest] = rows([started('a', 'c1'), ended('b', 'c1', { ok: false })]);
  expect(rest).toEqual([]);
  expect(row).toMatchObject({
    type: 'calls',
    calls: [{ started: { id: 'a' }, ended: { ok: false } }],
  });
});

it('matches answers that come in another order', () => {
  const [row] = rows([started('a', 'c1'), started('b', 'c2'), ended('c', 'c2'), ended('d', 'c1')]);
  expect(row?.type === 'calls' && row.calls.map((call) => call.ended?.id)).toEqual(['d', 'c']);
});

it('keeps calls of two turns apart though they have the same name', () => {
  const [row] = rows([
    started('a', 'c1', { turn: 1 }),
    started('b', 'c1', { turn: 2 }),
    ended('c', 'c1', { turn: 1 }),
  ]);
  expect(row?.type === 'calls' && row.calls.map((call) => call.ended?.id)).toEqual([
    'c',
    undefined,
  ]);
});

it('folds calls in sequence, until something else is said or another agent acts', () => {
  const shape = rows([
    started('a', '1'),
    ended('b', '1'),
    started('c', '2'),
    item('d', 'text'),
    started('e', '3'),
    started('f', '4', { role: 'beta' }),
  ]).map((row) => (row.type === 'calls' ? row.calls.length : row.type));
  expect(shape).toEqual([2, 'line', 1, 1]);
});

it('shows an answer without its call only where it failed', () => {
  expect(rows([ended('b', 'c1', { ok: true })])).toEqual([]);
  expect(rows([ended('b', 'c1', { ok: false })])).toMatchObject([
    { type: 'calls', calls: [{ started: null }] },
  ]);
});

it('ends what was being written with its turn', () => {
  const half = item('t1.live', 'text_delta', { text: 'All te' });
  const over = item('e9', 'fact', { text: 'Turn was interrupted', ok: false });
  expect(rows([half, over]).map((row) => row.type)).toEqual(['line']);
});

it('grows one row while text is written, and replaces it by the finished text', () => {
  const pieces = [
    item('t1.live', 'text_delta', { text: 'All ' }),
    item('t1.live', 'text_delta', { text: 'tests' }),
  ];
  expect(rows(pieces)).toMatchObject([{ type: 'writing', text: 'All tests' }]);
  const whole = item('t1.3', 'text', { text: 'All tests pass' });
  expect(rows([...pieces, whole])).toMatchObject([{ type: 'line', item: { id: 't1.3' } }]);
});

it('does not replace what another turn is writing', () => {
  const all = rows([item('t2.1', 'text_delta', { turn: 2 }), item('t1.9', 'text', { turn: 1 })]);
  expect(all.map((row) => row.type)).toEqual(['writing', 'line']);
});

it('shows each line once, in order, whichever way it came', () => {
  const [a, b, c] = [item('a', 'fact'), item('b', 'fact'), item('c', 'fact')];
  expect(merge([a, c], [c, b]).map((each) => each.id)).toEqual(['a', 'b', 'c']);
});

it('shows a text once although its last piece bears the same time and came from elsewhere', () => {
  const whole = item('t1.1', 'text', { text: 'All tests' });
  const last = item('t1.live', 'text_delta', { text: 'All tests', at: whole.at });
  expect(rows(merge([whole], [last])).map((row) => row.type)).toEqual(['line']);
});
