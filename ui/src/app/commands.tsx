/** Gives commands to tasks, and says what came of them. */
import { Button } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { ApiError, api, type PlainAction } from '../api/client';
import type { Action, Priority, TaskCard } from '../api/types';
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

export const priorities: { value: Priority; label: string }[] = [
  { value: 'critical', label: 'Critical' },
  { value: 'high', label: 'High' },
  { value: 'normal', label: 'Normal' },
  { value: 'low', label: 'Low' },
];

export async function prioritise(card: TaskCard, priority: Priority): Promise<void> {
  try {
    take(await api.setPriority(card.id, priority));
  } catch (error) {
    sayProblem(`The priority of ${card.name} could not be changed`, error);
  }
}

/** Lets it begin although what it waits for is not done. */
export async function unchain(card: TaskCard): Promise<void> {
  const { waits_for } = card;
  try {
    take(await api.unchain(card.id));
    say(
      `${card.name} waits no more`,
      `It was waiting for ${waits_for.map((t) => t.name).join(', ')}.`,
    );
  } catch (error) {
    sayProblem(`${card.name} still waits`, error);
  }
}

const STOP_ALL = 'stop-all';

/** Under way, or not known to have stopped. */
const isMoving = (card: TaskCard) =>
  card.stopping || card.queued || ['planning', 'working', 'needs_you'].includes(card.state);

/** Stops everything, and says so when it is true of every task that was under way. */
export async function stopAll(): Promise<void> {
  const told = Object.values(useLive.getState().cards).filter(isMoving);
  const notice = { id: STOP_ALL, withBorder: true, autoClose: false as const };
  notifications.hide(STOP_ALL);
  notifications.show({ ...notice, loading: true, title: 'Stopping…', message: left(told) });
  try {
    await api.stopAll();
  } catch (error) {
    notifications.hide(STOP_ALL);
    sayProblem('Not everything could be told to stop', error);
    return;
  }
  const ids = told.map((card) => card.id);
  const look = () => {
    const { cards } = useLive.getState();
    const moving = ids.flatMap((id) => cards[id] ?? []).filter(isMoving);
    notifications.update(
      moving.length > 0
        ? { ...notice, loading: true, title: 'Stopping…', message: left(moving) }
        : {
            ...notice,
            loading: false,
            title: 'Everything has stopped',
            message:
              told.length > 0
                ? `${told.map((card) => card.name).join(', ')}: all work is kept. Resume when you want.`
                : 'Nothing was at work.',
            autoClose: 12_000,
          },
    );
    return moving.length === 0;
  };
  if (look()) return;
  const stop = useLive.subscribe((now, was) => {
    if (now.cards !== was.cards && look()) stop();
  });
}

const left = (cards: TaskCard[]) =>
  cards.length > 0
    ? `${cards.map((card) => card.name).join(', ')}: not stopped yet`
    : 'Looking whether anything runs';

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
