/**
 * A question that stops the work. What would run is shown whole. The buttons do nothing for the
 * first half second and never have the focus by themselves, so that nobody allows by accident.
 */
import { Button, TextInput } from '@mantine/core';
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { api } from '../api/client';
import type { Answer, Approval, TaskCard } from '../api/types';
import { sayProblem, take } from '../app/commands';
import { useNow } from '../live/clock';
import { ago } from '../parts/format';
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
}

export function Question({ question, card, folder }: Props) {
  const panel = useRef<HTMLElement>(null);
  const now = useNow(10_000);
  const { ready, busy, send } = useAnswer(question);
  const yesOrNo = question.kind !== 'open';

  useEffect(() => {
    panel.current?.focus({ preventScroll: false });
  }, []);

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
        <span className={css.since}>asked {ago(question.asked_at, now)}</span>
      </div>
      <p className={css.text}>{visible(heading(question))}</p>
      {question.detail ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a long command is scrolled with the keyboard
        <pre className={css.detail} data-kind={question.kind} tabIndex={0}>
          {visible(question.detail)}
        </pre>
      ) : null}
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

/** Sends an answer to exactly what was shown. */
function useAnswer({ id, digest }: Approval) {
  const [ready, setReady] = useState(false);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setReady(true), INERT_MS);
    return () => clearTimeout(timer);
  }, []);
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
  return (
    <div className={css.answers}>
      <Button
        variant="default"
        aria-disabled={inert}
        onClick={() => void send({ type: 'deny', reason: reason.trim() })}
        data-testid="deny"
      >
        {rounds ? 'Leave it as it is' : 'Deny'} <kbd className={css.kbd}>Esc</kbd>
      </Button>
      <Button
        variant="default"
        aria-disabled={inert}
        onClick={() => void send({ type: 'allow' })}
        data-testid="allow"
      >
        {rounds ? 'Another round' : 'Allow once'}
      </Button>
      {rounds ? null : (
        <>
          <Button
            variant="default"
            aria-disabled={inert}
            onClick={() => void send({ type: 'allow_for_task' })}
            data-testid="allow-for-task"
          >
            Allow exactly this in {card.name}
          </Button>
          <TextInput
            className={css.reason}
            size="xs"
            aria-label="Reason, told to the agent when you deny"
            placeholder="Reason for a denial (told to the agent)"
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
        </>
      )}
    </div>
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
