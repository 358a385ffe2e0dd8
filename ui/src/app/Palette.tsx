/** Ctrl K: every task and the commands that are always there. */
import { Spotlight, type SpotlightActionData } from '@mantine/spotlight';
import { useMemo } from 'react';
import { useLocation } from 'wouter';
import { chooseFolder } from '../compose/folders';
import { useLive } from '../live/store';
import { stateWords } from '../parts/Tag';
import { stopAll } from './commands';
import { compose, show } from './desk';

export function Palette() {
  const cards = useLive((live) => live.cards);
  const [, go] = useLocation();
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
      { id: 'board', label: 'Go to the board', onClick: () => go('/') },
      { id: 'inbox', label: 'Go to the inbox', onClick: () => go('/inbox') },
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
    [cards, go],
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
