/** What waits for the person, whoever waits longest first. */
import type { TaskCard } from '../api/types';
import { columnOf } from '../board/columns';

export function waitsForYou(cards: Record<string, TaskCard>): TaskCard[] {
  const since = (card: TaskCard) => card.question?.asked_at ?? card.updated_at;
  return Object.values(cards)
    .filter((card) => ['needs_you', 'review'].includes(columnOf(card) ?? ''))
    .sort((a, b) => since(a).localeCompare(since(b)));
}
