/**
 * Turns the lines of a timeline into the rows that are shown: a call and its answer are one,
 * calls in sequence fold together, and text that is being written is one growing row.
 */
import type { Role, TimelineItem } from '../api/types';

export interface Call {
  key: string;
  started: TimelineItem | null;
  ended: TimelineItem | null;
}

export type Row =
  | { type: 'line'; key: string; item: TimelineItem }
  | { type: 'calls'; key: string; role: Role | null; at: string; calls: Call[] }
  | { type: 'writing'; key: string; role: Role | null; at: string; text: string };

/** What the server had, and after it what came since, each line once and in order. */
export function merge(
  recorded: readonly TimelineItem[],
  live: readonly TimelineItem[],
): TimelineItem[] {
  const seen = new Set(recorded.map((item) => item.id));
  const all = [...recorded];
  for (const item of live) {
    // Pieces of text that share an id would all be needed; anything else is the same line again.
    if (seen.has(item.id) && item.kind !== 'text_delta') continue;
    seen.add(item.id);
    all.push(item);
  }
  return all.sort((a, b) => a.at.localeCompare(b.at) || piece(a) - piece(b));
}

/** Pieces of a text come before the whole of it, also when both bear the same time. */
const piece = (item: TimelineItem) => (item.kind === 'text_delta' ? 0 : 1);

export function rows(items: readonly TimelineItem[]): Row[] {
  const out: Row[] = [];
  const calls = new Map<string, Call>();
  const writing = new Map<number, Row & { type: 'writing' }>();
  for (const item of items) {
    switch (item.kind) {
      case 'tool_started': {
        const call = { key: item.id, started: item, ended: null };
        if (item.call) calls.set(callKey(item), call);
        addCall(out, item, call);
        break;
      }
      case 'tool_ended': {
        const call = calls.get(callKey(item));
        if (call) call.ended = item;
        // Tools of NEXUS itself show no start; that one of them worked is no news either.
        else if (item.ok === false)
          addCall(out, item, { key: item.id, started: null, ended: item });
        break;
      }
      case 'text_delta': {
        const turn = item.turn ?? -1;
        const growing = writing.get(turn);
        if (growing) {
          growing.text += body(item);
        } else {
          const row: Row & { type: 'writing' } = {
            type: 'writing',
            key: `w${item.id}`,
            role: item.role ?? null,
            at: item.at,
            text: body(item),
          };
          writing.set(turn, row);
          out.push(row);
        }
        break;
      }
      case 'text': {
        drop(out, writing, item.turn ?? -1);
        out.push({ type: 'line', key: item.id, item });
        break;
      }
      case 'fact':
        // A turn that has ended writes no more, whether or not its last text arrived.
        if (item.ok != null) drop(out, writing, item.turn ?? -1);
        out.push({ type: 'line', key: item.id, item });
        break;
      case 'message':
      case 'question':
      case 'check':
      case 'thinking':
      case 'retry':
      case 'limit':
      case 'unknown':
        out.push({ type: 'line', key: item.id, item });
        break;
    }
  }
  return out;
}

function drop(out: Row[], writing: Map<number, Row & { type: 'writing' }>, turn: number) {
  const growing = writing.get(turn);
  if (!growing) return;
  out.splice(out.indexOf(growing), 1);
  writing.delete(turn);
}

/** The whole text of a line: its detail where there is one. */
export const body = (item: TimelineItem) => item.detail ?? item.text;

/** A program may count its calls anew in each turn. */
const callKey = (item: TimelineItem) => `${item.turn ?? ''}/${item.call ?? item.id}`;

function addCall(out: Row[], item: TimelineItem, call: Call) {
  const last = out.at(-1);
  if (last?.type === 'calls' && last.role === (item.role ?? null)) {
    last.calls.push(call);
  } else {
    out.push({ type: 'calls', key: item.id, role: item.role ?? null, at: item.at, calls: [call] });
  }
}
