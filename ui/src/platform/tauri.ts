/**
 * The desktop window: requests and changes go through two Tauri commands, so no port is open.
 *
 * This is the only file that imports `@tauri-apps/*`.
 */
import { Channel, invoke } from '@tauri-apps/api/core';
import { getCurrentWebview } from '@tauri-apps/api/webview';
import type { Change } from '../api/types';
import type { FolderDrop, Platform, Stop, StreamEvents } from './platform';

interface ApiReply {
  status: number;
  body: unknown;
}

/** A message of the change stream; after `lost` there is none. */
type Heard = { changes: Change[] } | { lost: string };

async function request(request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const text = await request.text();
  const reply = await invoke<ApiReply>('api', {
    request: {
      method: request.method,
      path: pathname + search,
      body: text === '' ? null : JSON.parse(text),
    },
  });
  const empty = reply.status === 204 || reply.body === null || reply.body === undefined;
  return new Response(empty ? null : JSON.stringify(reply.body), {
    status: reply.status,
    headers: {
      'content-type': reply.status < 400 ? 'application/json' : 'application/problem+json',
      // openapi-fetch reads this to know that there is nothing to parse.
      ...(empty ? { 'content-length': '0' } : {}),
    },
  });
}

function subscribe(since: number, events: StreamEvents): Stop {
  let stopped = false;
  const channel = new Channel<Heard>((heard) => {
    if (stopped) return;
    if ('changes' in heard) events.onChanges(heard.changes);
    else events.onLost(heard.lost);
  });
  invoke('subscribe', { since, onChanges: channel }).then(
    () => {
      if (!stopped) events.onOpen();
    },
    (reason: unknown) => {
      if (!stopped) events.onLost(String(reason));
    },
  );
  return () => {
    stopped = true;
  };
}

function watchDrops(drop: FolderDrop): Stop {
  const page = (at: { x: number; y: number }) =>
    [at.x / window.devicePixelRatio, at.y / window.devicePixelRatio] as const;
  const unlisten = getCurrentWebview().onDragDropEvent(({ payload }) => {
    switch (payload.type) {
      case 'enter':
      case 'over':
        drop.onOver(...page(payload.position));
        break;
      case 'drop':
        drop.onDrop(payload.paths, ...page(payload.position));
        break;
      case 'leave':
        drop.onLeave();
        break;
    }
  });
  return () => {
    unlisten.then((stop) => stop());
  };
}

export const tauri: Platform = {
  kind: 'desktop',
  fetch: request,
  subscribe,
  pickFolder: () => invoke<string | null>('pick_folder'),
  watchDrops,
  openLink: (url) => {
    invoke('open_link', { url });
  },
};
