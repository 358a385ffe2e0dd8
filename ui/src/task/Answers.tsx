/** The answers that a question takes. None of them has the focus by itself. */
import { Button, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Answer, Approval, TaskCard } from '../api/types';
import css from './Question.module.css';

interface Choices {
  question: Approval;
  /** Nothing is taken yet: what is under the pointer has just changed. */
  inert: boolean;
  send(answer: Answer): Promise<void>;
}

interface Props extends Choices {
  card: TaskCard;
  held: string | null;
}

export function Answers({ card, held, ...choices }: Props) {
  switch (choices.question.kind) {
    case 'tool':
      return <Decide card={card} {...choices} />;
    case 'open':
      return <Reply {...choices} />;
    case 'rounds':
      return <Pair {...choices} no="Leave it as it is" yes="Another round" held={null} />;
    case 'plan':
      return <Pair {...choices} no="Keep paused" yes="Approve the plan" held={held} />;
    case 'handed_in':
      return <Judge {...choices} />;
  }
}

interface PairProps extends Choices {
  no: string;
  yes: string;
  held: string | null;
}

/** Yes or no, in the words of the question. */
function Pair({ inert, send, no, yes, held }: PairProps) {
  return (
    <div className={css.answers}>
      <Button
        variant="default"
        aria-disabled={inert}
        onClick={() => void send({ type: 'deny', reason: '' })}
        data-testid="deny"
      >
        {no} <kbd className={css.kbd}>Esc</kbd>
      </Button>
      <Button
        variant="default"
        aria-disabled={inert || held !== null}
        onClick={() => {
          if (held === null) void send({ type: 'allow' });
        }}
        data-testid="allow"
      >
        {yes}
      </Button>
      {held ? <span className={css.lead}>{held}</span> : null}
    </div>
  );
}

/** Whether something is good enough; a no says best what is missing. */
function Judge({ inert, send }: Choices) {
  const [text, setText] = useState('');
  const words = text.trim();
  return (
    <form
      className={css.answers}
      onSubmit={(event) => {
        event.preventDefault();
        void send(words ? { type: 'text', text: words } : { type: 'deny', reason: '' });
      }}
    >
      <Button
        variant="default"
        aria-disabled={inert}
        onClick={() => void send({ type: 'allow' })}
        data-testid="allow"
      >
        Good enough
      </Button>
      <TextInput
        className={css.reason}
        size="xs"
        aria-label="What is missing"
        placeholder="Or say what is missing"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        data-testid="answer-text"
      />
      <Button type="submit" variant="default" aria-disabled={inert} data-testid="deny">
        {words ? 'Send it back with this' : 'Not good enough'}
      </Button>
    </form>
  );
}

function Decide({ question, card, inert, send }: Choices & { card: TaskCard }) {
  const [reason, setReason] = useState('');
  const deny = (
    <Button
      variant="default"
      aria-disabled={inert}
      onClick={() => void send({ type: 'deny', reason: reason.trim() })}
      data-testid="deny"
    >
      Deny <kbd className={css.kbd}>Esc</kbd>
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
