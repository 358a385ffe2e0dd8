/** Says aloud, for those who do not see the board, what a card moved for. */
import { useEffect, useState } from 'react';
import type { Hold, TaskCard } from '../api/types';
import { pausedByItself } from '../board/columns';
import { holdNames } from '../limits/Holds';
import { pauseWords } from '../limits/pause';
import { atMostEvery } from '../live/sparingly';
import { useLive } from '../live/store';
import css from './Announcer.module.css';

type Cards = Record<string, TaskCard>;

/** What is worth interrupting for: a question that was not there before. */
export function asked(before: Cards, after: Cards): string | null {
  const card = Object.values(after).find(
    (each) => each.question && each.question.id !== before[each.id]?.question?.id,
  );
  return card?.question ? `${card.name} needs you: ${card.question.text}` : null;
}

/** What is worth saying when nothing else is said: a task that came to an end of its work. */
export function arrived(before: Cards, after: Cards): string | null {
  const card = Object.values(after).find((each) => {
    const was = before[each.id]?.state;
    const moved = was !== undefined && was !== each.state;
    return moved && (each.state in endings || pausedByItself(each));
  });
  if (!card) return null;
  return pausedByItself(card) && card.paused
    ? `${card.name} is paused: ${pauseWords[card.paused].short}`
    : `${card.name} ${endings[card.state] ?? ''}`;
}

/** What is worth saying of an account: that it closed, or is open again. */
export function held(before: readonly Hold[], after: readonly Hold[]): string | null {
  const fresh = after.find((each) => !before.some((known) => known.why === each.why));
  if (fresh) return `${holdNames[fresh.why]}: nothing is begun for now`;
  return before.length > 0 && after.length === 0 ? 'Work goes on' : null;
}

/** What is worth saying when nothing else is: that a task came nearer to its end. */
export function advanced(before: Cards, after: Cards): string | null {
  const card = Object.values(after).find((each) => {
    const was = before[each.id];
    return was !== undefined && each.progress.steps_done > was.progress.steps_done;
  });
  if (!card) return null;
  return `${card.name}: ${card.progress.steps_done} of ${card.progress.steps} steps are done`;
}

/** One line at most in so long: whoever listens has something else to do, too. */
export const CALM_EVERY_MS = 10_000;

const endings: Partial<Record<TaskCard['state'], string>> = {
  review: 'is ready for your review',
  done: 'is done',
  failed: 'has failed',
};

export function Announcer() {
  const [urgent, setUrgent] = useState('');
  const [calm, setCalm] = useState('');
  useEffect(() => {
    let next = { text: '', matters: false };
    const speech = atMostEvery(CALM_EVERY_MS, () => {
      setCalm(next.text);
      next = { text: '', matters: false };
    });
    const say = (text: string, matters: boolean) => {
      // How far one task is does not take the place of another one's end.
      if (!matters && next.matters) return;
      next = { text, matters };
      speech.ask();
    };
    const leave = useLive.subscribe((now, was) => {
      // The first board is no news.
      if (!was.loaded) return;
      const closed = now.holds === was.holds ? null : held(was.holds, now.holds);
      if (closed) say(closed, true);
      if (now.cards === was.cards) return;
      const question = asked(was.cards, now.cards);
      if (question) setUrgent(question);
      const ending = arrived(was.cards, now.cards);
      const progress = ending ?? advanced(was.cards, now.cards);
      if (progress) say(progress, ending !== null);
    });
    return () => {
      leave();
      speech.stop();
    };
  }, []);
  return (
    <div className={css.unseen}>
      <div role="alert" aria-live="assertive" data-testid="said-at-once">
        {urgent}
      </div>
      <div role="status" aria-live="polite" data-testid="said">
        {calm}
      </div>
    </div>
  );
}
