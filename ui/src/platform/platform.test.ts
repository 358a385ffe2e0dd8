import { beforeEach, expect, it, vi } from 'vitest';
import type { Change } from '../api/types';
import { eventReader } from './browser';
import { tauri } from './tauri';

type Answer = (command: string, sent: Record<string, unknown>) => unknown;
const fake = vi.hoisted(() => ({
  answer: (() => null) as Answer,
  drop: (_: unknown) => {},
}));

vi.mock('@tauri-apps/api/core', () => ({
  Channel: class {
    hear: (message: unknown) => void;
    constructor(hear: (message: unknown) => void) {
      this.hear = hear;
    }
  },
  invoke: async (command: string, sent: Record<string, unknown>) => fake.answer(command, sent),
}));
vi.mock('@tauri-apps/api/webview', () => ({
  getCurrentWebview: () => ({
    onDragDropEvent: async (hear: (event: unknown) => void) => {
      fake.drop = hear;
      return () => {};
    },
  }),
}));

const change: Change = {
  type: 'live',
  seq: 4,
  task_id: '00000000-0000-4000-8000-000000000001',
  items: [],
};
const stream = () => ({ onChanges: vi.fn(), onOpen: vi.fn(), onLost: vi.fn() });

beforeEach(() => {
  fake.answer = () => null;
});

it('carries a request through the window, and its answer back', async () => {
  fake.answer = (command, sent) => {
    expect([command, sent]).toEqual([
      'api',
      { request: { method: 'POST', path: '/api/v1/tasks?x=1', body: { text: 'a' } } },
    ]);
    return { status: 201, body: { name: 'T-1' } };
  };
  const request = new Request('tauri://localhost/api/v1/tasks?x=1', {
    method: 'POST',
    body: '{"text":"a"}',
  });
  const response = await tauri.fetch(request);
  expect([response.status, await response.json()]).toEqual([201, { name: 'T-1' }]);
});

it('carries nothing as nothing, and a problem as a problem', async () => {
  fake.answer = () => ({ status: 200, body: null });
  const nothing = await tauri.fetch(new Request('tauri://localhost/api/v1/keys/openai'));
  expect([nothing.ok, await nothing.text()]).toEqual([true, '']);
  fake.answer = () => ({ status: 404, body: { code: 'not_found' } });
  const problem = await tauri.fetch(new Request('tauri://localhost/api/v1/tasks/T-9'));
  expect([problem.status, await problem.json()]).toEqual([404, { code: 'not_found' }]);
});

it('passes changes on until the stream is lost, or nobody listens any more', async () => {
  let channel: { hear(message: unknown): void } | undefined;
  fake.answer = (_, sent) => {
    expect(sent.since).toBe(3);
    channel = sent.onChanges as typeof channel;
  };
  const events = stream();
  const stop = tauri.subscribe(3, events);
  await vi.waitFor(() => expect(events.onOpen).toHaveBeenCalledOnce());
  channel?.hear({ changes: [change] });
  channel?.hear({ lost: 'too slow' });
  expect(events.onChanges.mock.calls).toEqual([[[change]]]);
  expect(events.onLost.mock.calls).toEqual([['too slow']]);
  stop();
  channel?.hear({ changes: [change] });
  expect(events.onChanges).toHaveBeenCalledOnce();
});

it('says why it could not listen', async () => {
  fake.answer = () => {
    throw 'the data folder is not there';
  };
  const events = stream();
  tauri.subscribe(0, events);
  await vi.waitFor(() =>
    expect(events.onLost).toHaveBeenCalledWith('the data folder is not there'),
  );
});

it('tells where on the page a folder is dropped, whatever the screen’s scale', () => {
  vi.stubGlobal('window', { devicePixelRatio: 2 });
  const drop = { onOver: vi.fn(), onDrop: vi.fn(), onLeave: vi.fn() };
  tauri.watchDrops?.(drop);
  fake.drop({ payload: { type: 'over', position: { x: 200, y: 100 } } });
  fake.drop({ payload: { type: 'drop', paths: ['/home/me/a'], position: { x: 40, y: 60 } } });
  fake.drop({ payload: { type: 'leave' } });
  vi.unstubAllGlobals();
  expect(drop.onOver).toHaveBeenCalledWith(100, 50);
  expect(drop.onDrop).toHaveBeenCalledWith(['/home/me/a'], 20, 30);
  expect(drop.onLeave).toHaveBeenCalledOnce();
});

it.each([
  ['whole', ['id: 1\ndata: {"a":1}\n\ndata: 2\n\n'], ['{"a":1}', '2']],
  ['in pieces', ['da', 'ta: {"a"', ':1}\n', '\n'], ['{"a":1}']],
  ['over several lines', ['data: one\ndata: two\n\n'], ['one\ntwo']],
  ['with comments and other line ends', [': beat\r\n\r\ndata: x\r\n\r\n'], ['x']],
  ['not yet whole', ['data: x\n'], []],
])('reads events that come %s', (_, chunks, data) => {
  const heard: string[] = [];
  const read = eventReader((text) => heard.push(text));
  for (const chunk of chunks) read(chunk);
  expect(heard).toEqual(data);
});
