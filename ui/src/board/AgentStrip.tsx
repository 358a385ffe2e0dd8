/** The five seats, and what each does now. */
import { Link } from 'wouter';
import type { Agent, AgentState } from '../api/types';
import { type Live, useLive } from '../live/store';
import { SeatName } from '../parts/Seat';
import css from './AgentStrip.module.css';

const words: Record<AgentState, string> = {
  idle: 'idle',
  starting: 'starting',
  working: 'working',
  needs_you: 'needs you',
  parked: 'parked',
  stopping: 'stopping',
};
const glyphs: Record<AgentState, string> = {
  idle: '○',
  starting: '◔',
  working: '●',
  needs_you: '!',
  parked: '‖',
  stopping: '◌',
};

/** What the seat does, from the stream while that is newer than the strip itself. */
function noteOf(agent: Agent, now: Live['now']): string {
  const line = agent.task_id ? now[agent.task_id] : undefined;
  return line && line.role === agent.role && agent.state === 'working'
    ? line.text
    : agent.note || 'nothing to do';
}

export function AgentStrip() {
  const agents = useLive((live) => live.agents);
  return (
    // A strip that scrolls must be reachable without a pointer.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls when the window is narrow
    <ul className={css.strip} aria-label="The team" tabIndex={0}>
      {agents.map((agent) => (
        <AgentCard key={agent.role} agent={agent} />
      ))}
    </ul>
  );
}

function AgentCard({ agent }: { agent: Agent }) {
  const note = useLive((live) => noteOf(agent, live.now));
  return (
    <li className={css.seat} data-role={agent.role} data-testid={`agent-${agent.role}`}>
      <div className={css.top}>
        <SeatName role={agent.role} />
        <span className={css.state} data-state={agent.state}>
          <span aria-hidden>{glyphs[agent.state]}</span> {words[agent.state]}
        </span>
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
