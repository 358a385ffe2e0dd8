/**
 * A question that stops the work. What would run is shown whole. The buttons do nothing for the
 * first half second and never have the focus by themselves, so that nobody allows by accident.
 */
import { Button, TextInput } from '@mantine/core';
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { api } from '../api/client';
import type { Answer, Approval, TaskCard } from '../api/types';
import { sayProblem, take } from '../app/commands';
import { useCountdown, useNow } from '../live/clock';
import { ago, moment } from '../parts/format';
import { heading } from '../parts/question';
import { SeatName } from '../parts/Seat';
import { PracticeTag } from '../parts/Tag';
import { visible } from '../parts/visible';
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
}

export function Question({ question, card, folder, among, focus }: Props) {
  const panel = useRef<HTMLElement>(null);
  const now = useNow(10_000);
  const { ready, busy, send } = useAnswer(question, among);
  const yesOrNo = question.kind !== 'open';

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
      aria-label={`Question of ${question.role}`}
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
      {question.waiting ? null : (
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
      {yesOrNo ? (
        <Decide question={question} card={card} inert={!ready || busy} send={send} />
      ) : (
        <Reply question={question} inert={!ready || busy} send={send} />
      )}
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

interface Choices {
  question: Approval;
  inert: boolean;
  send(answer: Answer): Promise<void>;
}

function Decide({ question, card, inert, send }: Choices & { card: TaskCard }) {
  const [reason, setReason] = useState('');
  const rounds = question.kind === 'rounds';
  const deny = (
    <Button
      variant="default"
      aria-disabled={inert}
      onClick={() => void send({ type: 'deny', reason: reason.trim() })}
      data-testid="deny"
    >
      {rounds ? 'Leave it as it is' : 'Deny'} <kbd className={css.kbd}>Esc</kbd>
    </Button>
  );
  const allow = (type: Answer['type'], name: string, what?: string) => (
    <Button
      variant="default"
      aria-disabled={inert}
      onClick={() => void send({ type })}
      aria-label={what}
      data-testid={type.replaceAll('_', '-')}
    >
      {name}
    </Button>
  );
  if (rounds) {
    return (
      <div className={css.answers}>
        {deny}
        {allow('allow', 'Another round')}
      </div>
    );
  }
  return (
    <>
      <div className={css.answers}>
        <span className={css.lead} title={`SHA-256 of exactly this request: ${question.digest}`}>
          Allow exactly this
        </span>
        {allow('allow', 'Once', 'Allow exactly this once')}
        {allow('allow_for_task', `In ${card.name}`, `Allow exactly this in ${card.name}`)}
        {allow(
          'allow_for_project',
          `In ${card.project_name}`,
          `Allow exactly this in ${card.project_name}, the whole project`,
        )}
        {allow('allow_always', 'Always', 'Allow exactly this always, in every project')}
      </div>
      <div className={css.answers}>
        {deny}
        <TextInput
          className={css.reason}
          size="xs"
          aria-label="Reason, told to the agent when you deny"
          placeholder="Reason for a denial (told to the agent)"
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
        />
      </div>
    </>
  );
}

function Reply({ question, inert, send }: Choices) {
  const [text, setText] = useState('');
  const answer = (words: string) => {
    if (words.trim()) void send({ type: 'text', text: words.trim() });
  };
  return (
    <form
      className={css.answers}
      onSubmit={(event) => {
        event.preventDefault();
        answer(text);
      }}
    >
      {question.options.map((option) => (
        <Button key={option} variant="default" aria-disabled={inert} onClick={() => answer(option)}>
          {option}
        </Button>
      ))}
      <TextInput
        className={css.reason}
        size="xs"
        aria-label="Your answer"
        placeholder={question.options.length > 0 ? 'Or say it in your own words' : 'Your answer'}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        data-testid="answer-text"
      />
      <Button
        type="submit"
        aria-disabled={inert}
        disabled={text.trim() === ''}
        data-testid="answer-send"
      >
        Answer
      </Button>
    </form>
  );
}
