/**
 * What the page knows of NEXUS: one store, fed by the board and by the ordered changes after it.
 *
 * The functions here fold facts in and touch nothing else; `stream.ts` brings the facts.
 */
import { create } from 'zustand';
import type {
  Agent,
  Board,
  Change,
  Hold,
  Project,
  Role,
  TaskCard,
  TimelineItem,
  Today,
} from '../api/types';
import { afterFact, type Pulses, type Thought, withLines, withWords } from './pulse';

/** Lines kept for each task. Older ones are on the server. */
export const LINES_KEPT = 2000;

export type Link =
  | { state: 'connecting' }
  | { state: 'live' }
  | { state: 'lost'; at: number; reason: string };

/** What the agent that holds the ball does at this moment. */
export interface NowLine {
  role: Role | null;
  text: string;
  at: string;
}

export interface Live {
  link: Link;
  /** The board was read at least once. */
  loaded: boolean;
  /** When the last change came, on this machine's clock. */
  heardAt: number | null;
  seq: number;
  version: string;
  dataDir: string;
  projects: Project[];
  agents: Agent[];
  /** Accounts on which nothing is begun for now. */
  holds: Hold[];
  /** `null` until the board was read. */
  today: Today | null;
  cards: Record<string, TaskCard>;
  lines: Record<string, TimelineItem[]>;
  now: Record<string, NowLine>;
  /** What is heard of the turns under way. */
  pulses: Pulses;
  /** What NEXUS Prime says while it plans or judges, by task. */
  thoughts: Record<string, Thought>;
}

export const nothing: Live = {
  link: { state: 'connecting' },
  loaded: false,
  heardAt: null,
  seq: 0,
  version: '',
  dataDir: '',
  projects: [],
  agents: [],
  holds: [],
  today: null,
  cards: {},
  lines: {},
  now: {},
  pulses: {},
  thoughts: {},
};

/** The board as it was at `board.seq`. Cards that changed since are newer and stay. */
export function withBoard(live: Live, board: Board): Live {
  const older = board.seq < live.seq;
  return {
    ...live,
    loaded: true,
    seq: Math.max(live.seq, board.seq),
    version: board.version,
    dataDir: board.data_dir,
    agents: board.agents,
    projects: older ? live.projects : board.projects,
    holds: older ? live.holds : board.holds,
    today: older ? live.today : board.today,
    cards: older ? live.cards : Object.fromEntries(board.tasks.map((card) => [card.id, card])),
  };
}

/** A server that starts over counts from the beginning again: what is known here is void. */
export function afterRestart(live: Live, board: Board): Live {
  return withBoard({ ...nothing, link: live.link, heardAt: live.heardAt }, board);
}

export function withCard(live: Live, card: TaskCard): Live {
  return { ...live, cards: { ...live.cards, [card.id]: card } };
}

/** What happened, not what is only shown while it goes on. */
export const isFact = (change: Change) => change.type !== 'live' && change.type !== 'thinking';

export function withChanges(live: Live, changes: readonly Change[], heardAt: number): Live {
  // Live lines and thoughts are no facts and carry the number of the last fact before them; lines
  // that come twice are told apart by their own ids, where they are shown.
  const fresh = changes.filter((change) => !isFact(change) || change.seq > live.seq);
  if (fresh.length === 0) return live;
  const next: Live = {
    ...live,
    heardAt,
    cards: { ...live.cards },
    now: { ...live.now },
    thoughts: { ...live.thoughts },
  };
  const arrived = new Map<string, TimelineItem[]>();
  for (const change of fresh) {
    next.seq = Math.max(next.seq, change.seq);
    switch (change.type) {
      case 'event':
        next.cards[change.task_id] = change.card;
        arrived.set(change.task_id, [...(arrived.get(change.task_id) ?? []), change.item]);
        // The card's own note is the news now; an older line of a tool would hide it.
        delete next.now[change.task_id];
        // What Prime came to is a fact now.
        if (change.item.role === 'prime') delete next.thoughts[change.task_id];
        next.pulses = afterFact(next.pulses, change.card, change.item);
        break;
      case 'live': {
        arrived.set(change.task_id, [...(arrived.get(change.task_id) ?? []), ...change.items]);
        next.pulses = withLines(next.pulses, change.task_id, change.items);
        const line = change.items.findLast((item) => item.kind === 'tool_started');
        if (line) {
          next.now[change.task_id] = { role: line.role ?? null, text: line.text, at: line.at };
        }
        break;
      }
      case 'thinking':
        next.thoughts[change.task_id] = withWords(
          next.thoughts[change.task_id],
          change.text,
          heardAt,
        );
        break;
      case 'projects':
        next.projects = change.projects;
        next.holds = change.holds;
        next.today = change.today;
        break;
    }
  }
  if (arrived.size > 0) {
    next.lines = { ...live.lines };
    for (const [task, items] of arrived) {
      next.lines[task] = [...(live.lines[task] ?? []), ...items].slice(-LINES_KEPT);
    }
  }
  return next;
}

export const useLive = create<Live>()(() => nothing);
