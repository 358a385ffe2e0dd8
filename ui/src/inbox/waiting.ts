/** What waits for the person, whoever waits longest first. */
import type { Approval, TaskCard } from '../api/types';
import { columnOf } from '../board/columns';

export function waitsForYou(cards: Record<string, TaskCard>): TaskCard[] {
  const since = (card: TaskCard) => card.question?.asked_at ?? card.updated_at;
  return Object.values(cards)
    .filter((card) => ['needs_you', 'review'].includes(columnOf(card) ?? ''))
    .sort((a, b) => since(a).localeCompare(since(b)));
}

/**
 * The questions that are not known to be answered. A card says at once when its last question is
 * gone; the list of questions is read again a moment later.
 */
export function stillOpen(
  questions: readonly Approval[],
  cards: Record<string, TaskCard>,
): Approval[] {
  return questions.filter(({ task_id }) => cards[task_id]?.question != null);
}
