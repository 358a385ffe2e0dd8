/** Everything that waits for the person, whoever waits longest first. */
import { useMemo } from 'react';
import { Link } from 'wouter';
import type { TaskCard } from '../api/types';
import { pausedByItself } from '../board/columns';
import { StandingTag } from '../board/TaskCard';
import { pauseWords } from '../limits/pause';
import { useNow } from '../live/clock';
import { useLive } from '../live/store';
import { ago } from '../parts/format';
import { object } from '../parts/question';
import { Monogram } from '../parts/Seat';
import { PracticeTag, StateTag } from '../parts/Tag';
import { visible } from '../parts/visible';
import css from './InboxPage.module.css';
import { waitsForYou } from './waiting';

export function InboxPage() {
  const cards = useLive((live) => live.cards);
  const loaded = useLive((live) => live.loaded);
  const waiting = useMemo(() => waitsForYou(cards), [cards]);
  return (
    <div className={css.page}>
      <h1 className={css.title}>Inbox</h1>
      {waiting.length === 0 ? (
        <p className={css.none}>
          {loaded
            ? 'Nothing waits for you. Questions, failures and results appear here.'
            : 'Loading…'}
        </p>
      ) : (
        <ul className={css.list}>
          {waiting.map((card) => (
            <Row key={card.id} card={card} />
          ))}
        </ul>
      )}
    </div>
  );
}

function why(card: TaskCard): string {
  if (card.question) return visible(object(card.question));
  if (pausedByItself(card) && card.paused) return pauseWords[card.paused].long;
  return card.note;
}

function Row({ card }: { card: TaskCard }) {
  const now = useNow(10_000);
  const role = card.question?.role ?? card.active_role;
  return (
    <li>
      <Link href={`/t/${card.name}`} className={css.row}>
        <span className={css.who}>{role ? <Monogram role={role} /> : null}</span>
        <span className={css.what}>
          <span className={css.task}>
            {card.name} · {card.title}
          </span>
          <span className={card.question?.kind === 'tool' ? css.command : css.why}>
            {why(card)}
          </span>
        </span>
        <PracticeTag team={card.team} />
        {card.standing && card.state === 'review' ? <StandingTag standing={card.standing} /> : null}
        <StateTag state={card.state} />
        <span className={css.since}>{ago(card.question?.asked_at ?? card.updated_at, now)}</span>
      </Link>
    </li>
  );
}
