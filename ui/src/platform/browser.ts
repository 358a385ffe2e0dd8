/**
 * A browser tab of `nexus serve`: plain requests, and changes as server-sent events read with
 * `fetch`, because `EventSource` hides the reason of a failure and cannot carry a header.
 */
import type { Change } from '../api/types';
import type { Platform, Stop, StreamEvents } from './platform';

/** Cuts a server-sent event stream into the `data` of its events. */
export function eventReader(onData: (data: string) => void): (chunk: string) => void {
  let rest = '';
  let data: string[] = [];
  return (chunk) => {
    rest += chunk;
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
      if (line === '') {
        if (data.length > 0) onData(data.join('\n'));
        data = [];
      } else if (line.startsWith('data:')) {
        data.push(line.slice(5).replace(/^ /, ''));
      }
    }
  };
}

function subscribe(since: number, events: StreamEvents): Stop {
  const abort = new AbortController();
  const read = async () => {
    const response = await fetch(`/api/v1/events?since=${since}`, {
      headers: { accept: 'text/event-stream' },
      signal: abort.signal,
    });
    if (!response.ok || response.body === null) {
      throw new Error(`the server answered ${response.status}`);
    }
    events.onOpen();
    const feed = eventReader((data) => events.onChanges([JSON.parse(data) as Change]));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Error('the server closed the stream');
      feed(value);
    }
  };
  read().catch((reason: unknown) => {
    if (!abort.signal.aborted) {
      events.onLost(reason instanceof Error ? reason.message : String(reason));
    }
  });
  return () => abort.abort();
}

export const browser: Platform = {
  kind: 'browser',
  fetch: (request) => fetch(request),
  subscribe,
  openLink: (url) => {
    window.open(url, '_blank', 'noopener,noreferrer');
  },
};
