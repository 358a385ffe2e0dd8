/**
 * Keeps the store in step with the server: reads the board, listens to the changes after it, and
 * comes back by itself from the last change it saw.
 */
import type { QueryClient } from '@tanstack/react-query';
import { api } from '../api/client';
import type { Change } from '../api/types';
import { platform, type Stop } from '../platform';
import { atMostEvery } from './sparingly';
import { afterRestart, isFact, useLive, withBoard, withChanges } from './store';

/** Changes are drawn at most ten times a second, however fast they come. */
const DRAW_EVERY_MS = 100;
/** The agent strip is read again at most this often while facts come in. */
const AGENTS_EVERY_MS = 1_000;
/** The seats too, and only where they are shown. */
const TEAM_EVERY_MS = 1_000;
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];

/** Text that grows moves no seat: what is heard of a turn between two tools is in the stream. */
const movesSeat = (change: Change) =>
  change.type === 'event' ||
  (change.type === 'live' &&
    change.items.some(({ kind }) => kind === 'tool_started' || kind === 'tool_ended'));

const message = (reason: unknown) => (reason instanceof Error ? reason.message : String(reason));

export function follow(queries: QueryClient): Stop {
  let ended = false;
  let stop: Stop = () => {};
  let failures = 0;
  let waiting: Change[] = [];
  let drawing: ReturnType<typeof setTimeout> | undefined;
  let retrying: ReturnType<typeof setTimeout> | undefined;

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
    if (changes.some(isFact)) {
      queries.invalidateQueries({ queryKey: ['approvals'] });
      queries.invalidateQueries({ queryKey: ['allowed'] });
    }
    if (touched.size > 0) agents.ask();
    if (changes.some(movesSeat)) team.ask();
  };

  const agents = atMostEvery(AGENTS_EVERY_MS, async () => {
    try {
      const board = await api.board();
      if (!ended) useLive.setState((live) => withBoard(live, board));
    } catch {
      // The stream notices a server that is gone, and says so; the strip only stays as it was.
    }
  });
  const team = atMostEvery(TEAM_EVERY_MS, () => {
    queries.invalidateQueries({ queryKey: ['team'] });
  });

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
            agents.ask();
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
    agents.stop();
    team.stop();
  };
}
