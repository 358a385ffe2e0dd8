/** What the agents and the person wrote to each other, as it was posted, and what became of it. */
import { Loader } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { api } from '../api/client';
import type { Message, TaskCard } from '../api/types';
import { moment } from '../parts/format';
import { Markdown } from '../parts/Markdown';
import { Notice } from '../parts/Notice';
import { SeatName } from '../parts/Seat';
import { Tag } from '../parts/Tag';
import { SayForm } from '../say/SayForm';
import { deliveryOf, partyName, seatOf } from '../say/words';
import css from './Messages.module.css';

export function Messages({ card }: { card: TaskCard }) {
  const query = useQuery({
    // Below the task's own key, so that a new fact makes both stale.
    queryKey: ['task', card.id, 'messages'],
    queryFn: () => api.messages(card.id),
  });
  const over = card.state === 'done' || card.state === 'cancelled';
  return (
    <div className={css.page}>
      {query.isPending ? (
        <Loader size="sm" />
      ) : query.error ? (
        <Notice meaning="danger" title="The messages could not be read">
          {query.error.message}
        </Notice>
      ) : (
        <Entries messages={query.data} />
      )}
      <div className={css.say}>
        {over ? (
          <p className={css.over}>The task is over, so nobody reads messages here any more.</p>
        ) : (
          <SayForm card={card} />
        )}
      </div>
    </div>
  );
}

/** Oldest first; the newest is in sight when one comes, and when one has written. */
function Entries({ messages }: { messages: Message[] }) {
  const end = useRef<HTMLDivElement>(null);
  const last = messages.at(-1);
  const own = last?.from === 'person' ? last.id : null;
  // biome-ignore lint/correctness/useExhaustiveDependencies: an own message is what it goes to
  useEffect(() => {
    end.current?.scrollIntoView({ block: 'end' });
  }, [own]);
  if (messages.length === 0) {
    return <p className={css.none}>No message yet. Agents hand their work over here.</p>;
  }
  return (
    <>
      {messages.map((message) => (
        <Entry key={message.id} message={message} />
      ))}
      <div ref={end} className={css.end} />
    </>
  );
}

function Party({ name }: { name: string }) {
  const role = seatOf(name);
  return role ? <SeatName role={role} /> : <span className={css.party}>{partyName(name)}</span>;
}

function Entry({ message }: { message: Message }) {
  const [source, setSource] = useState(false);
  return (
    <article className={css.entry}>
      <header className={css.head}>
        <Party name={message.from} />
        <span className={css.muted} role="img" aria-label="to">
          →
        </span>
        <Party name={message.to} />
        <span className={css.muted}>{message.kind}</span>
        {message.structured ? null : <Tag meaning="plain">written as plain text</Tag>}
        <time className={css.time} dateTime={message.at}>
          {moment(message.at)}
        </time>
      </header>
      <Markdown text={message.text} />
      <Delivery message={message} />
      <button
        type="button"
        className={css.toggle}
        aria-expanded={source}
        onClick={() => setSource(!source)}
      >
        {source ? 'Hide the message as sent' : 'Show the message as sent'}
      </button>
      {source ? <pre className={css.source}>{JSON.stringify(message.json, null, 2)}</pre> : null}
    </article>
  );
}

function Delivery({ message }: { message: Message }) {
  const { glyph, words, meaning } = deliveryOf(message);
  return (
    <p className={css.delivery} data-meaning={meaning} data-testid="delivery">
      <span className={css.glyph} aria-hidden>
        {glyph}
      </span>
      {words}
    </p>
  );
}
