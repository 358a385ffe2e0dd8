/** Behind a task: its attempts, its conversations, what it used, what was allowed in it. */
import { Button } from '@mantine/core';
import { Fragment, type ReactNode } from 'react';
import { AllowedList } from '../allowed/AllowedList';
import { api } from '../api/client';
import type { Session, Task } from '../api/types';
import { take } from '../app/commands';
import { show } from '../app/desk';
import { Used } from '../limits/Used';
import { useNow } from '../live/clock';
import { ago, duration, plural, tokens, usd } from '../parts/format';
import { SeatName } from '../parts/Seat';
import { seats } from '../theme/tokens';
import { Attempts } from './Attempts';
import css from './Details.module.css';
import { sides } from './facts';

export function Details({ task }: { task: Task }) {
  return (
    <div className={css.page}>
      <Part
        title="Attempts"
        note="Four facts about each, from four sides. Only what is verified counts."
      >
        <Attempts task={task} />
        {task.steps.some((step) => step.history.length > 0) ? (
          <dl className={css.legend}>
            {sides.map(({ side, name, source }) => (
              <Fragment key={side}>
                <dt>{name}</dt>
                <dd>{source}.</dd>
              </Fragment>
            ))}
          </dl>
        ) : null}
      </Part>
      <Part
        title="Sessions"
        note="An agent’s conversation outlives the process that carries it, and comes back by resume."
      >
        <Sessions task={task} />
      </Part>
      <div className={css.pair}>
        <Part title="Used, and caps">
          <Used spent={task.spent} caps={task.caps} />
          {task.spent.at_least ? (
            <p className={css.note}>
              ≥ means at least: a turn was cut off, and what it used is not known.
            </p>
          ) : null}
          <Button
            mt="xs"
            variant="default"
            onClick={() => show({ type: 'caps', card: task.card })}
            data-testid="edit-caps"
          >
            Change caps…
          </Button>
        </Part>
        <Part title="Allowed for the rest of this task">
          <AllowedList
            empty="Nothing yet. What you allow for the task is listed here."
            entries={task.grants.map((grant) => ({
              ...grant,
              key: `grant-${grant.digest}`,
              where: 'in this task',
              revoke: async () => take(await api.revokeGrant(task.card.id, grant.digest)),
            }))}
          />
        </Part>
      </div>
    </div>
  );
}

function Part({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <section className={css.part}>
      <h2 className={css.title}>
        {title} {note ? <span className={css.note}>{note}</span> : null}
      </h2>
      {children}
    </section>
  );
}

const states: Record<Session['state'], string> = {
  fresh: 'fresh, nothing said yet',
  live: 'live',
  parked: 'parked, comes back by resume',
};

function Sessions({ task }: { task: Task }) {
  const now = useNow(10_000);
  if (task.sessions.length === 0) return <p className={css.none}>No session was begun yet.</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it is scrolled with the keyboard where it is narrow
    <div className={css.frame} tabIndex={0}>
      <table className={css.table} data-testid="sessions">
        <thead>
          <tr>
            <th scope="col">Seat</th>
            <th scope="col">State</th>
            <th scope="col">Turns</th>
            <th scope="col">Used</th>
            <th scope="col" title="How often the conversation was lost or given up">
              Replaced
            </th>
            <th scope="col" title="An idle process is closed after so long">
              Idle timeout
            </th>
            <th scope="col">Process</th>
            <th scope="col">
              <span className={css.hidden}>Begin anew</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {task.sessions.map((session) => (
            <tr key={session.role} data-testid={`session-${session.role}`}>
              <th scope="row" title={`Session ${session.id}`}>
                <SeatName role={session.role} />
              </th>
              <td title={session.state}>
                {states[session.state]}
                {session.used_at ? (
                  <span className={css.note}> · used {ago(session.used_at, now)}</span>
                ) : null}
              </td>
              <td>{plural(session.turns, 'turn')}</td>
              <td>
                {tokens(session.tokens)}
                {task.card.team === 'practice' ? '' : ` · ${usd(session.cost_usd)}`}
              </td>
              <td>{session.generation === 0 ? 'never' : plural(session.generation, 'time')}</td>
              <td>{duration(session.idle_timeout_seconds * 1000)}</td>
              <td>{session.pid ?? <span className={css.note}>none</span>}</td>
              <td className={css.right}>
                <Button
                  variant="default"
                  disabled={session.state === 'fresh'}
                  onClick={() =>
                    show({ type: 'replace_session', card: task.card, role: session.role })
                  }
                  aria-label={`Begin anew… the session of ${seats[session.role].name}`}
                >
                  Begin anew…
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
