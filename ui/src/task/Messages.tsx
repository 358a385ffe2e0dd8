/** What the agents wrote to each other, as it was posted. */
import { Loader } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import type { Message, Role } from '../api/types';
import { moment } from '../parts/format';
import { Markdown } from '../parts/Markdown';
import { Notice } from '../parts/Notice';
import { SeatName } from '../parts/Seat';
import { Tag } from '../parts/Tag';
import { roles } from '../theme/tokens';
import css from './Messages.module.css';

export function Messages({ id }: { id: string }) {
  const query = useQuery({
    // Below the task's own key, so that a new fact makes both stale.
    queryKey: ['task', id, 'messages'],
    queryFn: () => api.messages(id),
  });
  if (query.isPending) {
    return (
      <div className={css.page}>
        <Loader size="sm" />
      </div>
    );
  }
  if (query.error) {
    return (
      <div className={css.page}>
        <Notice meaning="danger" title="The messages could not be read">
          {query.error.message}
        </Notice>
      </div>
    );
  }
  return (
    <div className={css.page}>
      {query.data.length === 0 ? (
        <p className={css.none}>No message yet. Agents hand their work over here.</p>
      ) : (
        query.data.map((message) => <Entry key={message.id} message={message} />)
      )}
    </div>
  );
}

/** `aria_coordinator` sits on Aria's seat, `nexus_prime` on Prime's. */
export function seatOf(name: string): Role | null {
  return roles.find((role) => name === role || name.split('_').includes(role)) ?? null;
}

function Party({ name }: { name: string }) {
  const role = seatOf(name);
  return role ? <SeatName role={role} /> : <span className={css.party}>{name}</span>;
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
