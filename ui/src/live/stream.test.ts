import { QueryClient } from '@tanstack/react-query';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { card } from '../../dev/world';
import type { Change, TimelineItem } from '../api/types';
import type { StreamEvents } from '../platform';
import { nothing, useLive } from './store';
import { follow } from './stream';

const server = vi.hoisted(() => ({
  events: undefined as unknown as StreamEvents,
  board: undefined as unknown,
}));
vi.mock('../api/client', () => ({ api: { board: async () => server.board } }));
vi.mock('../platform', () => ({
  platform: {
    subscribe: (_: number, events: StreamEvents) => {
      server.events = events;
      events.onOpen();
      return () => {};
    },
  },
}));

let stop = () => {};
let asked = vi.fn();
/** How often the seats were asked after. */
const team = () =>
  asked.mock.calls.filter(([{ queryKey }]) => JSON.stringify(queryKey) === '["team"]').length;
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

let seq = 10;
const line = (part: Partial<TimelineItem>): TimelineItem => ({
  id: 'x',
  at: '2026-01-01T10:00:00Z',
  kind: 'fact',
  text: '',
  turn: 1,
  ...part,
});
const fact = (): Change => {
  const one = card({ id: 'a', state: 'working' });
  return { type: 'event', seq: ++seq, task_id: 'a', item: line({}), card: one };
};
const live = (kind: TimelineItem['kind']): Change => ({
  type: 'live',
  seq,
  task_id: 'a',
  items: [line({ kind })],
});

beforeEach(async () => {
  vi.useFakeTimers({ now: 1_000_000 });
  seq = 10;
  useLive.setState(nothing, true);
  server.board = {
    seq,
    version: '1',
    data_dir: '/',
    projects: [],
    tasks: [],
    agents: [],
    holds: [],
    today: null,
  };
  const queries = new QueryClient();
  asked = vi.spyOn(queries, 'invalidateQueries') as typeof asked;
  stop = follow(queries);
  await pass(0);
});
afterEach(() => {
  stop();
  vi.useRealTimers();
});

it('asks after the seats at most once a second, however fast facts come', async () => {
  for (let n = 0; n < 30; n += 1) {
    server.events.onChanges([fact()]);
    await pass(100);
  }
  expect(team()).toBeGreaterThanOrEqual(3);
  expect(team()).toBeLessThanOrEqual(4);
});

it('asks after them when a tool is begun or ended, and not while text only grows', async () => {
  server.events.onChanges([live('text_delta'), live('thinking')]);
  server.events.onChanges([{ type: 'thinking', seq, task_id: 'a', text: 'Hm.' }]);
  await pass(2_000);
  expect(team()).toBe(0);
  server.events.onChanges([live('tool_started')]);
  await pass(2_000);
  expect(team()).toBe(1);
});

it('takes what Prime says for no fact: nothing is read again for it', async () => {
  asked.mockClear();
  server.events.onChanges([{ type: 'thinking', seq, task_id: 'a', text: 'Two steps.' }]);
  await pass(2_000);
  expect(asked).not.toHaveBeenCalled();
  expect(useLive.getState().thoughts.a?.text).toBe('Two steps.');
});
