/** Everything that waits for the person: questions whole, and whoever waits longest first. */
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { Link } from 'wouter';
import { api } from '../api/client';
import type { Approval, TaskCard } from '../api/types';
import { pausedByItself } from '../board/columns';
import { StandingTag } from '../board/TaskCard';
import { pauseWords } from '../limits/pause';
import { useNow } from '../live/clock';
import { useLive } from '../live/store';
import { ago } from '../parts/format';
import { Notice } from '../parts/Notice';
import { object } from '../parts/question';
import { Monogram } from '../parts/Seat';
import { PracticeTag, StateTag } from '../parts/Tag';
import { visible } from '../parts/visible';
import { useUnsaved } from '../plan/drafts';
import { Question } from '../task/Question';
import css from './InboxPage.module.css';
import { stillOpen, waitsForYou } from './waiting';

export function InboxPage() {
  const cards = useLive((live) => live.cards);
  const loaded = useLive((live) => live.loaded);
  const open = useQuery({ queryKey: ['approvals'], queryFn: api.approvals, staleTime: 0 });
  const questions = useMemo(() => stillOpen(open.data ?? [], cards), [open.data, cards]);
  // A task whose question is shown whole above is not listed again below.
  const others = useMemo(() => {
    const shown = new Set(questions.map((question) => question.task_id));
    return waitsForYou(cards).filter((card) => !shown.has(card.id));
  }, [cards, questions]);
  const checked = loaded && !open.isPending;
  return (
    <div className={css.page}>
      <h1 className={css.title}>Inbox</h1>
      {open.error ? (
        <Notice meaning="danger" title="The questions could not be read">
          {open.error.message}
        </Notice>
      ) : null}
      {questions.length > 0 ? (
        <section className={css.questions} aria-label="Questions">
          <h2 className={css.group}>Questions</h2>
          {questions.map((question) => (
            <Asked
              key={question.id}
              question={question}
              card={cards[question.task_id]}
              among={questions.length}
            />
          ))}
        </section>
      ) : null}
      {others.length > 0 ? (
        <section aria-label="Results and stops">
          {questions.length > 0 ? <h2 className={css.group}>Results and stops</h2> : null}
          <ul className={css.list}>
            {others.map((card) => (
              <Row key={card.id} card={card} />
            ))}
          </ul>
        </section>
      ) : questions.length === 0 && !open.error ? (
        <p className={css.none}>
          {checked
            ? 'Nothing waits for you. Questions, failures and results appear here.'
            : 'Loading…'}
        </p>
      ) : null}
    </div>
  );
}

function Asked(props: { question: Approval; card: TaskCard | undefined; among: number }) {
  const { question, card, among } = props;
  const unsaved = useUnsaved(question.task_id);
  if (!card) return null;
  return (
    <div className={css.asked} data-testid={`asked-${card.name}`}>
      <Link href={`/t/${card.name}`} className={css.of}>
        {card.name} · {card.title}
      </Link>
      <Question
        question={question}
        card={card}
        among={among}
        focus={false}
        held={question.kind === 'plan' ? unsaved : null}
      >
        {question.kind === 'plan' ? (
          <p className={css.look}>
            <Link href={`/t/${card.name}/plan`}>Look at the plan</Link>
          </p>
        ) : null}
      </Question>
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
        <StateTag state={card.state} stopping={card.stopping} />
        <span className={css.since}>{ago(card.question?.asked_at ?? card.updated_at, now)}</span>
      </Link>
    </li>
  );
}
