/** Home: the team, and every task by where it stands. */
import { SegmentedControl, Skeleton } from '@mantine/core';
import { useEffect, useMemo, useState } from 'react';
import { useLocation, useSearchParams } from 'wouter';
import type { TaskCard as Card } from '../api/types';
import { give, say } from '../app/commands';
import { useDesk } from '../app/desk';
import { HoldsBanner } from '../limits/Holds';
import { useLive } from '../live/store';
import { AgentStrip } from './AgentStrip';
import { BoardDnd } from './BoardDnd';
import css from './BoardPage.module.css';
import { arrange, type Column, columns } from './columns';
import { EmptyBoard } from './EmptyBoard';
import { TaskCard } from './TaskCard';

const draw = (card: Card) => <TaskCard card={card} />;

export function BoardPage() {
  const loaded = useLive((live) => live.loaded);
  const any = useLive((live) => Object.keys(live.cards).length > 0);
  if (!loaded) return <Loading />;
  return (
    <div className={css.page}>
      <h1 className={css.hidden}>Board</h1>
      <AgentStrip />
      {any ? <Tasks /> : <EmptyBoard />}
      <HoldsBanner />
    </div>
  );
}

function Tasks() {
  const shown = useShownCards();
  const [search, setSearch] = useSearchParams();
  const [, go] = useLocation();
  const [chosen, setChosen] = useState<Column>('working');
  const cancelled = search.get('cancelled') === 'shown';
  const arranged = useMemo(() => arrange(shown), [shown]);
  // Whoever comes back from a task finds the focus on its card.
  useEffect(() => {
    const { opened } = useDesk.getState();
    if (opened) cardElement(opened)?.focus();
  }, []);
  const hidden = shown.filter((card) => card.state === 'cancelled');
  return (
    <>
      <FilterBar count={shown.length} />
      <SegmentedControl
        className={css.tabs}
        value={chosen}
        onChange={(value) => setChosen(value as Column)}
        data={columns.map(({ id, title }) => ({
          value: id,
          label: `${title} ${arranged[id].length}`,
        }))}
      />
      <BoardDnd
        cards={arranged}
        chosen={chosen}
        draw={draw}
        onKey={(card, key) => cardKey(card, key, go)}
        onMove={(card, move) => {
          if ('does' in move) void give(card, move.does);
          else say(`${card.name} stays where it is`, move.refused);
        }}
      />
      {hidden.length > 0 ? (
        <section className={css.cancelled} aria-label="Cancelled tasks">
          <button
            type="button"
            className={css.more}
            aria-expanded={cancelled}
            onClick={() =>
              setSearch((now) => {
                if (cancelled) now.delete('cancelled');
                else now.set('cancelled', 'shown');
                return now;
              })
            }
          >
            {cancelled ? 'Hide' : 'Show'} cancelled ({hidden.length})
          </button>
          {cancelled ? (
            <div className={css.grid}>
              {hidden.map((card) => (
                <TaskCard key={card.id} card={card} />
              ))}
            </div>
          ) : null}
        </section>
      ) : null}
    </>
  );
}

/** The keys of a card that has the focus. */
function cardKey(card: Card, key: string, go: (path: string) => void): boolean {
  switch (key) {
    case 'Enter':
      go(`/t/${card.name}`);
      return true;
    case 's': {
      const action = (['start', 'resume', 'pause'] as const).find((each) =>
        card.actions.includes(each),
      );
      if (action) void give(card, action);
      return true;
    }
    case 'm':
      cardElement(card.name)?.querySelector<HTMLElement>('[aria-haspopup="menu"]')?.click();
      return true;
    default:
      return false;
  }
}

const cardElement = (name: string) =>
  [...document.querySelectorAll<HTMLElement>('[data-card]')].find(
    (element) => element.dataset.card === name,
  );

/** The tasks that the address asks for: of one project, with these words. */
export function useShownCards(): Card[] {
  const cards = useLive((live) => live.cards);
  const [search] = useSearchParams();
  const project = search.get('project');
  const words = (search.get('find') ?? '').trim().toLowerCase();
  return useMemo(
    () =>
      Object.values(cards).filter(
        (card) =>
          (!project || card.project_id === project) &&
          (!words ||
            `${card.name} ${card.title} ${card.project_name}`.toLowerCase().includes(words)),
      ),
    [cards, project, words],
  );
}

function FilterBar({ count }: { count: number }) {
  const [search, setSearch] = useSearchParams();
  const words = search.get('find') ?? '';
  return (
    <div className={css.bar}>
      <input
        id="board-filter"
        className={css.filter}
        type="search"
        placeholder="Filter tasks  /"
        aria-label="Filter tasks"
        value={words}
        onChange={(event) => {
          const value = event.currentTarget.value;
          setSearch(
            (now) => {
              if (value) now.set('find', value);
              else now.delete('find');
              return now;
            },
            { replace: true },
          );
        }}
      />
      <span className={css.count} role="status">
        {words && count === 0 ? 'No task matches' : `${count} ${count === 1 ? 'task' : 'tasks'}`}
      </span>
    </div>
  );
}

function Loading() {
  return (
    <div className={css.page} aria-busy="true">
      <h1 className={css.hidden}>Loading the board</h1>
      <div className={css.skeletons}>
        {columns.map(({ id }) => (
          <div key={id}>
            <Skeleton height={56} mb={24} radius="md" />
            <Skeleton height={110} mb={8} radius="md" />
            <Skeleton height={110} radius="md" />
          </div>
        ))}
      </div>
    </div>
  );
}
