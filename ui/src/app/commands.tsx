/** Gives commands to tasks, and says what came of them. */
import { Button } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { ApiError, api, type PlainAction } from '../api/client';
import type { Action, TaskCard } from '../api/types';
import { useLive, withCard } from '../live/store';
import { show } from './desk';

export const actionNames: Record<Action, string> = {
  start: 'Start',
  pause: 'Pause',
  resume: 'Resume',
  cancel: 'Cancel task…',
  accept: 'Accept…',
  discard: 'Discard',
  restore: 'Bring back',
  request_changes: 'Request changes…',
};

export function say(title: string, message?: string) {
  notifications.show({ title, message, withBorder: true });
}

export function sayProblem(what: string, error: unknown) {
  notifications.show({
    title: what,
    message: error instanceof Error ? error.message : String(error),
    color: 'red',
    withBorder: true,
    autoClose: 12_000,
    // The code is what a report of this problem needs.
    ...(error instanceof ApiError ? { id: error.problem.code } : {}),
  });
}

/** Takes over the card an answer brought, without waiting for the stream to say the same. */
export function take(card: TaskCard): TaskCard {
  useLive.setState((live) => withCard(live, card));
  return card;
}

/** Gives a command. Those that need words or a decision open their dialog first. */
export async function give(card: TaskCard, action: Action): Promise<void> {
  switch (action) {
    case 'accept':
    case 'request_changes':
    case 'cancel':
      show({ type: action, card });
      return;
    case 'discard':
      await run(card, 'discard');
      offerUndo(card);
      return;
    case 'start':
    case 'pause':
    case 'resume':
    case 'restore':
      await run(card, action);
  }
}

export async function run(card: TaskCard, action: PlainAction): Promise<boolean> {
  try {
    take(await api.command(card.id, action));
    return true;
  } catch (error) {
    sayProblem(`${card.name}: ${actionNames[action].replace('…', '')} did not work`, error);
    return false;
  }
}

function offerUndo(card: TaskCard) {
  const id = `discard-${card.id}`;
  const undo = () => {
    notifications.hide(id);
    void run(card, 'restore');
  };
  if (!useLive.getState().cards[card.id]?.actions.includes('restore')) return;
  notifications.show({
    id,
    title: `${card.name} discarded`,
    withBorder: true,
    autoClose: 15_000,
    message: (
      <>
        A snapshot is kept.{' '}
        <Button variant="subtle" size="compact-xs" onClick={undo}>
          Undo
        </Button>
      </>
    ),
  });
}
