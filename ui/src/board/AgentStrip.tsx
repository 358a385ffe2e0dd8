/** The seats of the team, and what each does now. */
import { Link } from 'wouter';
import type { Agent, Seat } from '../api/types';
import { type Live, useLive } from '../live/store';
import { SeatName } from '../parts/Seat';
import { visible } from '../parts/visible';
import {
  Heard,
  StateWord,
  shortWords,
  useAsked,
  usedWords,
  usePractice,
  WriteTo,
} from '../team/Seat';
import { doing } from '../team/seats';
import { usePulse, useTeam } from '../team/useTeam';
import css from './AgentStrip.module.css';

export function AgentStrip() {
  const { all } = useTeam();
  return (
    // A strip that scrolls must be reachable without a pointer.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls when the window is narrow
    <ul className={css.strip} aria-label="The team" tabIndex={0}>
      {all.map((each) =>
        each.seat ? (
          <SeatCard key={`${each.seat.task_id}/${each.seat.seat}`} seat={each.seat} />
        ) : (
          <AgentCard key={each.role} agent={each.agent} />
        ),
      )}
    </ul>
  );
}

function SeatCard({ seat }: { seat: Seat }) {
  const { state, text, heardAt } = doing(seat, usePulse(seat));
  const practice = usePractice(seat);
  const asked = useAsked(seat);
  const note = visible(asked ?? text ?? seat.step_title ?? '');
  return (
    <li
      className={css.seat}
      data-role={seat.role}
      data-testid={`agent-${seat.task_name}-${seat.seat}`}
    >
      <div className={css.top}>
        <SeatName role={seat.role} title={seat.title} />
        <StateWord state={state} />
      </div>
      <div className={css.note} title={note}>
        <Link href={`/t/${seat.task_name}`} className={css.task}>
          {seat.task_name}
        </Link>
        <span className={css.text}>{note}</span>
      </div>
      <div className={css.foot}>
        <span className={css.facts}>
          <Heard seat={seat} heardAt={heardAt} />
          {seat.stalled ? null : (
            <span className={css.used} title={usedWords(seat, practice)}>
              {shortWords(seat, practice)}
            </span>
          )}
        </span>
        <WriteTo seat={seat} wide={false} />
      </div>
    </li>
  );
}

/** What the seat does, from the stream while that is newer than the strip itself. */
function noteOf(agent: Agent, now: Live['now']): string {
  const line = agent.task_id ? now[agent.task_id] : undefined;
  return line && line.role === agent.role && agent.state === 'working'
    ? line.text
    : agent.note || 'nothing to do';
}

/** A role without a live seat, or of which the seats are not known yet. */
function AgentCard({ agent }: { agent: Agent }) {
  const note = useLive((live) => noteOf(agent, live.now));
  return (
    <li className={css.seat} data-role={agent.role} data-testid={`agent-${agent.role}`}>
      <div className={css.top}>
        <SeatName role={agent.role} />
        <StateWord state={agent.state} />
      </div>
      <div className={css.note} title={note}>
        {agent.task_name ? (
          <Link href={`/t/${agent.task_name}`} className={css.task}>
            {agent.task_name}
          </Link>
        ) : null}
        <span className={css.text}>{note}</span>
        {agent.queued > 0 ? <span className={css.queue}>{agent.queued} queued</span> : null}
      </div>
    </li>
  );
}
