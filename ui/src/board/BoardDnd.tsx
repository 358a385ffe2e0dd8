/**
 * The columns, and dragging between them. The only file that knows the drag library.
 *
 * A drop never moves a card by itself: it gives a command, and the card moves when the server
 * says so.
 */
import { DragDropContext, Draggable, Droppable } from '@hello-pangea/dnd';
import { type KeyboardEvent, type ReactNode, useState } from 'react';
import type { TaskCard as Card } from '../api/types';
import css from './BoardDnd.module.css';
import { type Column, columns, type Move, moveNames, moveTo } from './columns';

interface Props {
  cards: Record<Column, Card[]>;
  draw(card: Card): ReactNode;
  onMove(card: Card, move: Move): void;
  /** A key pressed on a card; `true` when it meant something. */
  onKey(card: Card, key: string): boolean;
  /** The one column to show where there is room for one only. */
  chosen: Column;
}

export function BoardDnd({ cards, draw, onMove, onKey, chosen }: Props) {
  const [held, setHeld] = useState<Card | null>(null);
  const find = (id: string) =>
    Object.values(cards)
      .flat()
      .find((card) => card.id === id);
  return (
    <DragDropContext
      onDragStart={({ draggableId }) => setHeld(find(draggableId) ?? null)}
      onDragEnd={({ draggableId, source, destination }) => {
        setHeld(null);
        const card = find(draggableId);
        if (!card || !destination || destination.droppableId === source.droppableId) return;
        onMove(card, moveTo(card, destination.droppableId as Column));
      }}
    >
      <div className={css.columns} data-testid="board" data-chosen={chosen}>
        {columns.map(({ id, title, empty }) => (
          <section
            key={id}
            className={css.column}
            data-testid={`column-${id}`}
            data-chosen={id === chosen}
            aria-label={`${title}, ${cards[id].length}`}
          >
            <h2 className={css.head}>
              {title} <span className={css.count}>{cards[id].length}</span>
            </h2>
            <Droppable droppableId={id}>
              {(drop, { isDraggingOver }) => (
                <div
                  ref={drop.innerRef}
                  {...drop.droppableProps}
                  className={css.list}
                  data-over={isDraggingOver}
                >
                  {held && !cards[id].some((card) => card.id === held.id) ? (
                    <Target move={moveTo(held, id)} over={isDraggingOver} />
                  ) : null}
                  {cards[id].map((card, at) => (
                    <Draggable key={card.id} draggableId={card.id} index={at}>
                      {(drag, { isDragging }) => (
                        <div
                          ref={drag.innerRef}
                          {...drag.draggableProps}
                          {...drag.dragHandleProps}
                          {...asGroup(card, onKey)}
                          className={css.held}
                          data-dragging={isDragging}
                        >
                          {draw(card)}
                        </div>
                      )}
                    </Draggable>
                  ))}
                  {drop.placeholder}
                  {cards[id].length === 0 && !held ? <p className={css.empty}>{empty}</p> : null}
                </div>
              )}
            </Droppable>
          </section>
        ))}
      </div>
    </DragDropContext>
  );
}

/** The card has a link and buttons of its own, so it is a group and not a button. */
const asGroup = (card: Card, onKey: (card: Card, key: string) => boolean) => ({
  role: 'group',
  'aria-roledescription': 'card that can be moved',
  'aria-label': `${card.name}, ${card.title}`,
  'data-card': card.name,
  onKeyDown: (event: KeyboardEvent<HTMLElement>) => {
    // While a card is lifted the drag library takes the keys, and says so.
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target !== event.currentTarget) return;
    if (focusNext(event.currentTarget, event.key) || onKey(card, event.key)) {
      event.preventDefault();
      event.stopPropagation();
    }
  },
});

const steps: Record<string, [number, number]> = {
  ArrowDown: [0, 1],
  j: [0, 1],
  ArrowUp: [0, -1],
  k: [0, -1],
  ArrowLeft: [-1, 0],
  h: [-1, 0],
  ArrowRight: [1, 0],
  l: [1, 0],
};

/** Moves the focus to the card beside; sideways it skips empty columns. */
function focusNext(from: HTMLElement, key: string): boolean {
  const step = steps[key];
  if (!step) return false;
  const grid = [...document.querySelectorAll('[data-testid^="column-"]')]
    .map((column) => [...column.querySelectorAll<HTMLElement>('[data-card]')])
    .filter((cards) => cards.length > 0);
  const x = grid.findIndex((cards) => cards.includes(from));
  const y = grid[x]?.indexOf(from) ?? 0;
  const column = grid[x + step[0]];
  column?.[Math.min(y + step[1], step[0] === 0 ? y + step[1] : column.length - 1)]?.focus();
  return true;
}

/** What a drop here would do, or why it does nothing. */
function Target({ move, over }: { move: Move; over: boolean }) {
  const refused = 'refused' in move;
  if (refused && !over) return null;
  return (
    <p className={css.target} data-refused={refused} data-over={over}>
      {refused ? move.refused : moveNames[move.does]}
    </p>
  );
}
