/** Ctrl K: every task and the commands that are always there. */
import { Spotlight, type SpotlightActionData } from '@mantine/spotlight';
import { useMemo } from 'react';
import { useLocation } from 'wouter';
import type { TaskCard } from '../api/types';
import { chooseFolder } from '../compose/folders';
import { useLive } from '../live/store';
import { stateWords } from '../parts/Tag';
import { priorities, prioritise, stopAll, unchain } from './commands';
import { compose, show } from './desk';

export function Palette() {
  const cards = useLive((live) => live.cards);
  const [path, go] = useLocation();
  const here = Object.values(cards).find(
    (card) => path.startsWith(`/t/${card.name}/`) || path === `/t/${card.name}`,
  );
  const actions = useMemo<SpotlightActionData[]>(
    () => [
      { id: 'new', label: 'New task', onClick: () => compose() },
      { id: 'folder', label: 'Add a folder', onClick: () => void chooseFolder() },
      {
        id: 'stop',
        label: 'Stop all work',
        description: 'Pauses every task. Everything is kept.',
        onClick: () => void stopAll(),
      },
      { id: 'today', label: 'Caps of a day', onClick: () => show({ type: 'today' }) },
      ...(here ? ofTask(here, go) : []),
      { id: 'board', label: 'Go to the board', onClick: () => go('/') },
      { id: 'inbox', label: 'Go to the inbox', onClick: () => go('/inbox') },
      { id: 'agents', label: 'Go to the agents', onClick: () => go('/agents') },
      { id: 'allowed', label: 'Go to what is allowed', onClick: () => go('/allowed') },
      { id: 'insights', label: 'Go to insights', onClick: () => go('/insights') },
      { id: 'doctor', label: 'Go to the doctor', onClick: () => go('/doctor') },
      { id: 'keys', label: 'Keyboard shortcuts', onClick: () => show({ type: 'shortcuts' }) },
      ...Object.values(cards).map((card) => ({
        id: card.id,
        label: `${card.name} ${card.title}`,
        description: `${stateWords[card.state]} · ${card.project_name}${card.team === 'practice' ? ' · practice, no AI' : ''}`,
        onClick: () => go(`/t/${card.name}`),
      })),
    ],
    [cards, here, go],
  );
  return (
    <Spotlight
      actions={actions}
      shortcut="mod + K"
      limit={9}
      title="Search"
      overlayProps={{ blur: 0 }}
      scrollable
      maxHeight={420}
      nothingFound="Nothing with these words"
      searchProps={{ placeholder: 'Search tasks, or run a command', 'aria-label': 'Search' }}
    />
  );
}

/** What can be done with the task whose page is open, beyond its buttons. */
function ofTask(card: TaskCard, go: (path: string) => void): SpotlightActionData[] {
  const { name } = card;
  const over = card.state === 'done' || card.state === 'cancelled';
  return [
    {
      id: 'plan',
      label: `${name}: look at the plan, or edit it`,
      onClick: () => go(`/t/${name}/plan`),
    },
    ...(card.waits_for.length > 0
      ? [{ id: 'unchain', label: `${name}: do not wait`, onClick: () => void unchain(card) }]
      : []),
    ...(over
      ? []
      : [
          {
            id: 'say',
            label: `${name}: message the team`,
            onClick: () => show({ type: 'say', card }),
          },
          ...priorities
            .filter(({ value }) => value !== card.priority)
            .map(({ value, label }) => ({
              id: `priority-${value}`,
              label: `${name}: priority ${label.toLowerCase()}`,
              onClick: () => void prioritise(card, value),
            })),
        ]),
    { id: 'task-caps', label: `${name}: caps`, onClick: () => show({ type: 'caps', card }) },
  ];
}
