/**
 * A question that stops the work. What would run is shown whole. The buttons do nothing for the
 * first half second and never have the focus by themselves, so that nobody allows by accident.
 */
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { api } from '../api/client';
import type { Answer, Approval, TaskCard } from '../api/types';
import { sayProblem, take } from '../app/commands';
import { useCountdown, useNow } from '../live/clock';
import { ago, moment } from '../parts/format';
import { heading } from '../parts/question';
import { SeatName } from '../parts/Seat';
import { PracticeTag } from '../parts/Tag';
import { visible } from '../parts/visible';
import { seats } from '../theme/tokens';
import { Answers } from './Answers';
import css from './Question.module.css';

export const INERT_MS = 500;

interface Props {
  question: Approval;
  card: TaskCard;
  /** Where it would happen. */
  folder?: string | null | undefined;
  /** How many questions are on the page: when one goes, another comes under the pointer. */
  among: number;
  /** Takes the focus, though none of its buttons does. */
  focus: boolean;
  /** What else one should know before answering. */
  children?: ReactNode;
  /** Why it cannot be answered with yes now. */
  held?: string | null;
}

export function Question(props: Props) {
  const { question, card, folder, among, focus, children, held = null } = props;
  const panel = useRef<HTMLElement>(null);
  const now = useNow(10_000);
  const { ready, busy, send } = useAnswer(question, among);
  // The others are asked by the task itself, so no agent was interrupted for them.
  const ofAgent = question.kind === 'tool' || question.kind === 'open';
  // Words that are asked for are not lost by a key.
  const yesOrNo = question.kind !== 'open' && question.kind !== 'handed_in';

  useEffect(() => {
    if (focus) panel.current?.focus({ preventScroll: false });
  }, [focus]);

  const onKey = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || !yesOrNo) return;
    event.preventDefault();
    event.stopPropagation();
    void send({ type: 'deny', reason: '' });
  };

  return (
    <section
      ref={panel}
      className={css.panel}
      tabIndex={-1}
      aria-label={`Question of ${seats[question.role].name} in ${card.name}`}
      onKeyDown={onKey}
      data-testid="question"
      data-ready={ready}
    >
      <div className={css.top}>
        <SeatName role={question.role} />
        <PracticeTag team={card.team} />
        <span className={css.since}>
          asked {ago(question.asked_at, now)}
          {question.expires_at ? <Expires at={question.expires_at} /> : null}
        </span>
      </div>
      <p className={css.text}>{visible(heading(question))}</p>
      {question.detail ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a long command is scrolled with the keyboard
        <pre className={css.detail} data-kind={question.kind} tabIndex={0}>
          {visible(question.detail)}
        </pre>
      ) : null}
      {question.waiting || !ofAgent ? null : (
        <p className={css.kept} data-testid="kept">
          Its agent was interrupted. Your answer is kept, and the agent gets it when it asks for
          this again.
        </p>
      )}
      {question.why ? <p className={css.why}>{question.why}</p> : null}
      {folder && question.kind === 'tool' ? (
        <p className={css.why}>
          In the task’s copy: <code>{folder}</code>
        </p>
      ) : null}
      {children}
      <Answers question={question} card={card} inert={!ready || busy} held={held} send={send} />
    </section>
  );
}

/** When nobody answering means no. */
function Expires({ at }: { at: string }) {
  const left = useCountdown(at);
  return (
    <span title={`Without an answer by ${moment(at)} it is a no`}>
      {' · '}becomes a no <time dateTime={at}>{left}</time>
    </span>
  );
}

/** Sends an answer to exactly what was shown. */
function useAnswer({ id, digest }: Approval, among: number) {
  const [ready, setReady] = useState(false);
  const [busy, setBusy] = useState(false);
  // Whatever changes what is under the pointer makes the buttons wait again.
  // biome-ignore lint/correctness/useExhaustiveDependencies: they are what changes it
  useEffect(() => {
    setReady(false);
    const timer = setTimeout(() => setReady(true), INERT_MS);
    return () => clearTimeout(timer);
  }, [digest, among]);
  const send = async (answer: Answer) => {
    if (!ready || busy) return;
    setBusy(true);
    try {
      take(await api.answer(id, { ...answer, digest }));
    } catch (error) {
      sayProblem('The answer did not arrive', error);
      setBusy(false);
    }
  };
  return { ready, busy, send };
}
