/**
 * Which column a card stands in, in which order, and what it means to drag it elsewhere.
 *
 * Dragging is giving a command: what may be given is in `card.actions`, decided by the server.
 */
import type { Action, TaskCard } from '../api/types';

export type Column = 'backlog' | 'working' | 'needs_you' | 'review' | 'done';

export const columns: readonly { id: Column; title: string; empty: string }[] = [
  { id: 'backlog', title: 'Backlog', empty: 'Nothing waits to be started' },
  { id: 'working', title: 'Working', empty: 'No agent is at work' },
  { id: 'needs_you', title: 'Needs you', empty: 'No question is open' },
  { id: 'review', title: 'In review', empty: 'No result waits for you' },
  { id: 'done', title: 'Done', empty: 'Nothing accepted yet' },
];

/** `null` for a cancelled task: it is on no column, only behind the filter. */
export function columnOf(card: TaskCard): Column | null {
  switch (card.state) {
    case 'backlog':
      return 'backlog';
    case 'paused':
      return pausedByItself(card) ? 'needs_you' : 'backlog';
    case 'planning':
    case 'working':
      return 'working';
    case 'needs_you':
    case 'failed':
      return 'needs_you';
    case 'review':
      return 'review';
    case 'done':
      return 'done';
    case 'cancelled':
      return null;
  }
}

/** A task that paused by itself, at a cap or because it is not sure, waits for the person. */
export function pausedByItself(card: TaskCard): boolean {
  return card.state === 'paused' && card.paused != null && card.paused !== 'person';
}

/**
 * The cards of each column. The order depends on times that do not change while a card stays in
 * its column, so that no card moves under the pointer.
 */
export function arrange(cards: readonly TaskCard[]): Record<Column, TaskCard[]> {
  const all: Record<Column, TaskCard[]> = {
    backlog: [],
    working: [],
    needs_you: [],
    review: [],
    done: [],
  };
  for (const card of cards) {
    const column = columnOf(card);
    if (column) all[column].push(card);
  }
  const newest = (a: TaskCard, b: TaskCard) => b.created_at.localeCompare(a.created_at);
  all.backlog.sort(newest);
  all.working.sort(newest);
  all.review.sort(newest);
  all.needs_you.sort((a, b) => askedAt(a).localeCompare(askedAt(b)));
  all.done.sort((a, b) => (b.ended_at ?? '').localeCompare(a.ended_at ?? ''));
  return all;
}

/** Who waits longest comes first. */
const askedAt = (card: TaskCard) => card.question?.asked_at ?? card.started_at ?? card.created_at;

export type Move = { does: Action } | { refused: string };

/** What dropping the card on the column means. */
export function moveTo(card: TaskCard, to: Column): Move {
  const may = (action: Action) => card.actions.includes(action);
  switch (to) {
    case 'needs_you':
      return { refused: 'A task comes here by itself, when it needs you' };
    case 'review':
      return { refused: 'A task comes here by itself, when its work is done' };
    case 'working':
      if (card.state === 'review') {
        return may('request_changes')
          ? { does: 'request_changes' }
          : { refused: 'Changes cannot be requested now' };
      }
      if (may('start')) return { does: 'start' };
      if (may('resume')) return { does: 'resume' };
      return { refused: 'It cannot be started now' };
    case 'backlog':
      return may('pause') ? { does: 'pause' } : { refused: 'It cannot be paused now' };
    case 'done':
      return may('accept')
        ? { does: 'accept' }
        : { refused: 'Only a reviewed result can be accepted' };
  }
}

/** What a move is called while a card is held over its column. */
export const moveNames: Record<Action, string> = {
  start: 'Start',
  resume: 'Resume',
  pause: 'Pause',
  request_changes: 'Request changes…',
  accept: 'Accept…',
  cancel: 'Cancel',
  discard: 'Discard',
  restore: 'Bring back',
};
