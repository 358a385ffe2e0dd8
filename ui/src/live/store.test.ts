import { expect, it } from 'vitest';
import { card } from '../../dev/world';
import type { Board, Change, TimelineItem } from '../api/types';
import { noCaps } from '../limits/caps';
import { afterRestart, LINES_KEPT, type Live, nothing, withBoard, withChanges } from './store';

const line = (id: string, part: Partial<TimelineItem> = {}): TimelineItem => ({
  id,
  at: '2026-01-01T10:00:00Z',
  kind: 'tool_started',
  text: `Read ${id}`,
  role: 'code',
  ...part,
});
const today = {
  spent: { cost_usd: 0, at_least: false, tokens: 0, seconds: 0, turns: 0 },
  caps: noCaps,
};
const board = (seq: number, tasks = [card({ id: 'a', state: 'working' })]): Board => ({
  seq,
  version: '1',
  data_dir: '/data',
  projects: [],
  tasks,
  agents: [],
  holds: [],
  today,
});
const event = (seq: number, state: 'working' | 'review'): Change => ({
  type: 'event',
  seq,
  task_id: 'a',
  item: line(`e${seq}`, { kind: 'fact' }),
  card: card({ id: 'a', state }),
});
const after = (...changes: Change[]): Live =>
  withChanges(withBoard(nothing, board(10)), changes, 1);

it('moves a card when a fact says so', () => {
  expect(after(event(11, 'review')).cards.a?.state).toBe('review');
});

it('ignores what it has seen already', () => {
  const live = after(event(11, 'review'));
  expect(withChanges(live, [event(11, 'working')], 2)).toBe(live);
});

it('does not let an older board undo a newer fact, but takes its agents', () => {
  const live = withBoard(after(event(11, 'review')), {
    ...board(10),
    agents: [{ role: 'code', name: 'Code', state: 'idle', note: '', tokens: 0, queued: 0 }],
  });
  expect(live.cards.a?.state).toBe('review');
  expect(live.seq).toBe(11);
  expect(live.agents).toHaveLength(1);
});

it('forgets tasks that a newer board no longer has', () => {
  expect(withBoard(after(event(11, 'review')), board(12, [])).cards).toEqual({});
});

it('starts over after a server that counts from the beginning', () => {
  const live = afterRestart(after(event(11, 'review')), board(3));
  expect(live.seq).toBe(3);
  expect(live.cards.a?.state).toBe('working');
  expect(live.lines).toEqual({});
});

it('takes live lines, which carry the number of the fact before them', () => {
  const live = after({ type: 'live', seq: 10, task_id: 'a', items: [line('t1.1')] });
  expect(live.lines.a?.map((each) => each.id)).toEqual(['t1.1']);
  expect(live.seq).toBe(10);
});

it('shows the tool in use until a fact is newer', () => {
  const using = after({ type: 'live', seq: 11, task_id: 'a', items: [line('t1.1')] });
  expect(using.now.a?.text).toBe('Read t1.1');
  expect(withChanges(using, [event(12, 'working')], 2).now.a).toBeUndefined();
});

it('keeps a bounded number of lines, the newest ones', () => {
  const items = Array.from({ length: LINES_KEPT + 5 }, (_, at) => line(`t1.${at}`));
  const lines = after({ type: 'live', seq: 11, task_id: 'a', items }).lines.a;
  expect(lines).toHaveLength(LINES_KEPT);
  expect(lines?.at(-1)?.id).toBe(`t1.${LINES_KEPT + 4}`);
});

it('leaves other tasks untouched, so that their cards are not drawn again', () => {
  const two = withBoard(
    nothing,
    board(10, [card({ id: 'a', state: 'working' }), card({ id: 'b', state: 'backlog' })]),
  );
  const next = withChanges(two, [event(11, 'review')], 1);
  expect(next.cards.b).toBe(two.cards.b);
});

it('takes what the floor says: projects, closed accounts, the day', () => {
  const hold = { why: 'limit' as const, until: '2026-01-01T12:00:00Z', text: 'used up' };
  const floor = {
    projects: [],
    holds: [hold],
    today: { ...today, caps: { ...noCaps, cost_usd: 4 } },
  };
  const live = after({ type: 'projects', seq: 11, ...floor });
  expect(live.holds).toEqual([hold]);
  expect(live.today?.caps.cost_usd).toBe(4);
  // An older board does not open the account again.
  expect(withBoard(live, board(10)).holds).toEqual([hold]);
  expect(withBoard(live, board(12)).holds).toEqual([]);
});
