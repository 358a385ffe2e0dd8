/**
 * Keeps the store in step with the server: reads the board, listens to the changes after it, and
 * comes back by itself from the last change it saw.
 */
import type { QueryClient } from '@tanstack/react-query';
import { api } from '../api/client';
import type { Change } from '../api/types';
import { platform, type Stop } from '../platform';
import { afterRestart, useLive, withBoard, withChanges } from './store';

/** Changes are drawn at most ten times a second, however fast they come. */
const DRAW_EVERY_MS = 100;
/** The agent strip is read again at most this often while facts come in. */
const AGENTS_EVERY_MS = 1_000;
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];

const message = (reason: unknown) => (reason instanceof Error ? reason.message : String(reason));

export function follow(queries: QueryClient): Stop {
  let ended = false;
  let stop: Stop = () => {};
  let failures = 0;
  let waiting: Change[] = [];
  let drawing: ReturnType<typeof setTimeout> | undefined;
  let retrying: ReturnType<typeof setTimeout> | undefined;
  let agentsAt = 0;
  let agents: ReturnType<typeof setTimeout> | undefined;

  const draw = () => {
    drawing = undefined;
    const changes = waiting;
    waiting = [];
    useLive.setState((live) => withChanges(live, changes, Date.now()));
    const touched = new Set(
      changes.flatMap((each) => (each.type === 'event' ? [each.task_id] : [])),
    );
    for (const id of touched) queries.invalidateQueries({ queryKey: ['task', id] });
    // Only what is on the screen is read again.
    if (changes.some((each) => each.type !== 'live')) {
      queries.invalidateQueries({ queryKey: ['approvals'] });
      queries.invalidateQueries({ queryKey: ['allowed'] });
    }
    if (touched.size > 0) askForAgents();
  };

  const askForAgents = () => {
    agents ??= setTimeout(readAgents, Math.max(0, agentsAt + AGENTS_EVERY_MS - Date.now()));
  };

  const readAgents = async () => {
    agentsAt = Date.now();
    try {
      const board = await api.board();
      if (!ended) useLive.setState((live) => withBoard(live, board));
    } catch {
      // The stream notices a server that is gone, and says so; the strip only stays as it was.
    } finally {
      agents = undefined;
    }
  };

  const lost = (reason: string) => {
    stop();
    if (ended) return;
    const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
    failures += 1;
    useLive.setState(({ link }) => ({
      link: { state: 'lost', at: link.state === 'lost' ? link.at : Date.now(), reason },
    }));
    retrying = setTimeout(connect, wait);
  };

  const connect = async () => {
    try {
      const board = await api.board();
      if (ended) return;
      const again = useLive.getState().loaded;
      useLive.setState((live) =>
        board.seq < live.seq ? afterRestart(live, board) : again ? live : withBoard(live, board),
      );
      // After an absence the missed changes come first, then the board itself heals the rest.
      stop = platform.subscribe(useLive.getState().seq, {
        onOpen: () => {
          failures = 0;
          useLive.setState({ link: { state: 'live' }, heardAt: Date.now() });
          if (again) {
            queries.invalidateQueries();
            askForAgents();
          }
        },
        onChanges: (changes) => {
          waiting.push(...changes);
          drawing ??= setTimeout(draw, DRAW_EVERY_MS);
        },
        onLost: lost,
      });
    } catch (reason) {
      lost(message(reason));
    }
  };

  void connect();
  return () => {
    ended = true;
    stop();
    clearTimeout(drawing);
    clearTimeout(retrying);
    clearTimeout(agents);
  };
}
