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
  onOpen(card: Card): void;
  /** The one column to show where there is room for one only. */
  chosen: Column;
}

export function BoardDnd({ cards, draw, onMove, onOpen, chosen }: Props) {
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
                          {...asGroup(card, onOpen)}
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
const asGroup = (card: Card, onOpen: (card: Card) => void) => ({
  onKeyDown: (event: KeyboardEvent) => {
    if (event.key === 'Enter' && event.target === event.currentTarget) onOpen(card);
  },
  role: 'group',
  'aria-roledescription': 'card that can be moved',
  'aria-label': `${card.name}, ${card.title}`,
});

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
