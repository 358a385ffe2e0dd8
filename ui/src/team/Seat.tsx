/** Pieces of a seat, on the strip of the board and on the page of the agents. */
import { MessageSquare } from 'lucide-react';
import type { Seat } from '../api/types';
import { show } from '../app/desk';
import { useNow } from '../live/clock';
import { useLive } from '../live/store';
import { tokens, usd } from '../parts/format';
import { object } from '../parts/question';
import { Tag } from '../parts/Tag';
import css from './Seat.module.css';
import { heardWords, isBusy, stateOf } from './seats';

export function StateWord({ state }: { state: string }) {
  const { word, glyph } = stateOf(state);
  return (
    <span className={css.state} data-state={state}>
      <span aria-hidden>{glyph}</span> {word}
    </span>
  );
}

/** How long ago it was heard, and whether that is longer than it should be. */
export function Heard({ seat, heardAt }: { seat: Seat; heardAt: string | null }) {
  const now = useNow();
  if (!isBusy(seat)) return null;
  return (
    <span className={css.heard} data-testid="heard">
      {heardWords(heardAt, now)}
      {seat.stalled ? (
        <span title="It has said nothing for longer than it usually may, and waits for nobody">
          <Tag meaning="warning">‼ stalled</Tag>
        </span>
      ) : null}
    </span>
  );
}

/** What it waits for the person with; `null` when it does not. */
export const useAsked = (seat: Seat) =>
  useLive((live) => {
    const question = live.cards[seat.task_id]?.question;
    return question && question.role === seat.role ? object(question) : null;
  });

/** What it holds in mind, and what it has used. */
export function usedWords(seat: Seat, practice: boolean): string {
  const used = seat.tokens > 0 ? [tokens(seat.tokens), ...cost(seat, practice)] : [];
  return [...context(seat, 'context'), ...used].join(' · ');
}

/** The same where there is little room. */
export const shortWords = (seat: Seat, practice: boolean) =>
  [...context(seat, 'ctx'), ...cost(seat, practice)].join(' · ');

const context = ({ context_tokens }: Seat, word: string) =>
  context_tokens == null ? [] : [`${word} ${tokens(context_tokens).replace(' tok', '')}`];

const cost = (seat: Seat, practice: boolean) =>
  practice || seat.tokens === 0 ? [] : [usd(seat.cost_usd)];

export const usePractice = (seat: Seat) =>
  useLive((live) => live.cards[seat.task_id]?.team === 'practice');

/** Opens the form to write to it. */
export function WriteTo({ seat, wide }: { seat: Seat; wide: boolean }) {
  const card = useLive((live) => live.cards[seat.task_id]);
  if (!card) return null;
  return (
    <button
      type="button"
      className={css.write}
      aria-label={`Message… to ${seat.title} of ${seat.task_name}`}
      title={`Message to ${seat.title}`}
      onClick={() => show({ type: 'say', card, to: seat.role })}
    >
      <MessageSquare size={14} aria-hidden />
      {wide ? 'Message…' : null}
    </button>
  );
}
