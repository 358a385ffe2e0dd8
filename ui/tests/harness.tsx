/** The whole page on a made-up NEXUS, in jsdom. Tests look at it as a person would. */
import { MantineProvider } from '@mantine/core';
import { Notifications, notifications } from '@mantine/notifications';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { cleanup, configure, render } from '@testing-library/react';
import { answer } from '../dev/routes';
import { World } from '../dev/world';
import { App } from '../src/app/App';
import { emptyDraft, useDesk } from '../src/app/desk';
import { nothing, useLive } from '../src/live/store';
import { follow } from '../src/live/stream';
import type { Platform, StreamEvents } from '../src/platform/platform';
import { resolver, theme } from '../src/theme/theme';

/** jsdom lays nothing out; these are what the libraries ask of a layout. */
export function pretendLayout() {
  // A busy machine may need a while to load a screen; the wait ends when it is there.
  configure({
    asyncUtilTimeout: 15_000,
    getElementError: (message) => new Error(message?.split('\n')[0] ?? 'not found'),
  });
  window.matchMedia = (query) =>
    ({
      matches: false,
      media: query,
      addEventListener() {},
      removeEventListener() {},
      addListener() {},
      removeListener() {},
      dispatchEvent: () => false,
      onchange: null,
    }) as MediaQueryList;
  window.ResizeObserver = class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };
  Element.prototype.scrollIntoView = () => {};
  HTMLCanvasElement.prototype.getContext = () => null;
  Object.defineProperty(document, 'fonts', { value: new EventTarget() });
}

export interface Sent {
  method: string;
  path: string;
  body: unknown;
}

export class FakePlatform implements Platform {
  kind = 'browser' as const;
  world = new World();
  sent: Sent[] = [];
  opened: string[] = [];
  since: number[] = [];
  /** The server is not there: requests fail, and so does the stream. */
  gone = false;
  private stream: StreamEvents | null = null;

  fetch = async (request: Request): Promise<Response> => {
    if (this.gone) throw new TypeError('the server is gone');
    const url = new URL(request.url);
    const text = await request.text();
    const body = text === '' ? undefined : JSON.parse(text);
    this.sent.push({ method: request.method, path: url.pathname.replace('/api/v1', ''), body });
    const reply = answer(this.world, request.method, url.href, body);
    return new Response(reply.body === null ? null : JSON.stringify(reply.body), {
      status: reply.status,
      headers: { 'content-type': 'application/json' },
    });
  };

  subscribe = (since: number, events: StreamEvents) => {
    this.since.push(since);
    this.stream = events;
    events.onOpen();
    return this.world.listen(since, (change) => events.onChanges([change]));
  };

  openLink = (url: string) => {
    this.opened.push(url);
  };

  lose(reason: string) {
    this.gone = true;
    this.stream?.onLost(reason);
  }

  /** The requests that asked for something to happen. */
  commands() {
    return this.sent.filter(({ method }) => method !== 'GET');
  }
}

export function openPage(path: string) {
  window.history.replaceState(null, '', path);
  useLive.setState(nothing, true);
  notifications.clean();
  useDesk.setState({ dialog: null, draft: emptyDraft, opened: null });
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const stop = follow(queries);
  const page = render(
    <MantineProvider theme={theme} cssVariablesResolver={resolver} env="test">
      <Notifications />
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </MantineProvider>,
  );
  return {
    ...page,
    close: () => {
      stop();
      cleanup();
      queries.clear();
    },
  };
}
