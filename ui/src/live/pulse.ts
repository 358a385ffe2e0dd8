/**
 * What the stream shows of turns and of Prime between the facts: when a turn was last heard, the
 * tool it uses, and the end of what Prime is saying. All of it is bounded and best effort.
 */
import type { TaskCard, TimelineItem } from '../api/types';

/** The last that was heard of a turn. */
export interface Pulse {
  at: string;
  /** The tool in use, and what it is applied to; `null` between two. */
  text: string | null;
}

/** By task, and in it by turn. */
export type Pulses = Record<string, Record<number, Pulse>>;

export function withLines(pulses: Pulses, task: string, items: readonly TimelineItem[]): Pulses {
  const turns = { ...pulses[task] };
  for (const item of items) {
    if (item.turn == null) continue;
    turns[item.turn] = { at: item.at, text: inUse(item, turns[item.turn]) };
  }
  return { ...pulses, [task]: turns };
}

function inUse(item: TimelineItem, before: Pulse | undefined): string | null {
  switch (item.kind) {
    case 'tool_started':
      return item.text;
    case 'tool_ended':
      return null;
    default:
      return before?.text ?? null;
  }
}

/** A fact that ends a turn, or a task at rest, leaves nothing to listen to. */
export function afterFact(pulses: Pulses, card: TaskCard, item: TimelineItem): Pulses {
  const turns = pulses[card.id];
  if (!turns) return pulses;
  if (!['planning', 'working', 'needs_you'].includes(card.state)) {
    const { [card.id]: _, ...others } = pulses;
    return others;
  }
  if (item.turn == null || item.ok == null || !(item.turn in turns)) return pulses;
  const { [item.turn]: _, ...left } = turns;
  return { ...pulses, [card.id]: left };
}

/** The end of what Prime is saying, and when it came on this machine's clock. */
export interface Thought {
  text: string;
  at: number;
}

/** Only the end is kept: it is to be seen passing by, and the decision says the rest. */
export const THOUGHT_KEPT = 2_000;
/** After so long without a word it thinks no more; what comes then begins anew. */
export const THOUGHT_FRESH_MS = 15_000;

export function withWords(before: Thought | undefined, text: string, at: number): Thought {
  const earlier = before && at - before.at < THOUGHT_FRESH_MS ? before.text : '';
  return { text: (earlier + text).slice(-THOUGHT_KEPT), at };
}

export const isFresh = (thought: Thought, now: number) => now - thought.at < THOUGHT_FRESH_MS;
