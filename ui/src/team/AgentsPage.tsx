/** The team: every seat, what it does now, when it was heard, and what it has used. */
import { Skeleton } from '@mantine/core';
import { Link } from 'wouter';
import type { Agent, Seat } from '../api/types';
import { Notice } from '../parts/Notice';
import { SeatName } from '../parts/Seat';
import { Tag } from '../parts/Tag';
import { visible } from '../parts/visible';
import css from './AgentsPage.module.css';
import { Heard, StateWord, useAsked, usedWords, usePractice, WriteTo } from './Seat';
import { doing } from './seats';
import { usePulse, useTeam } from './useTeam';

export default function AgentsPage() {
  const { all, error, isPending } = useTeam();
  return (
    <div className={css.page}>
      <h1 className={css.title}>Agents</h1>
      <p className={css.lead}>
        Who is at work, and who can be woken. A seat keeps its conversation until its task is over.
      </p>
      {error ? (
        <Notice meaning="danger" title="The seats could not be read">
          {error.message}
        </Notice>
      ) : null}
      {isPending ? (
        <Skeleton height={320} radius="md" />
      ) : (
        <ul className={css.list} aria-label="The team" data-testid="team">
          {all.map((each) =>
            each.seat ? (
              <SeatRow key={`${each.seat.task_id}/${each.seat.seat}`} seat={each.seat} />
            ) : (
              <EmptyRow key={each.role} agent={each.agent} />
            ),
          )}
        </ul>
      )}
    </div>
  );
}

function SeatRow({ seat }: { seat: Seat }) {
  const { state, text, heardAt } = doing(seat, usePulse(seat));
  const practice = usePractice(seat);
  const asked = useAsked(seat);
  return (
    <li
      className={css.row}
      data-role={seat.role}
      data-testid={`seat-${seat.task_name}-${seat.seat}`}
    >
      <div className={css.who}>
        <SeatName role={seat.role} title={seat.title} />
        <span className={css.task}>
          <Link href={`/t/${seat.task_name}`}>{seat.task_name}</Link>
          {seat.lane ? <Tag meaning="plain">own copy</Tag> : null}
        </span>
      </div>
      <div className={css.what}>
        <span className={css.now}>
          <StateWord state={state} />
          {text ? <code className={css.tool}>{visible(text)}</code> : null}
        </span>
        {asked ? <span className={css.asked}>{visible(asked)}</span> : null}
        {seat.step == null ? null : (
          <Link href={`/t/${seat.task_name}/plan`} className={css.step}>
            Step {seat.step}
            {seat.step_title ? `: ${seat.step_title}` : ''}
          </Link>
        )}
      </div>
      <div className={css.heard}>
        <Heard seat={seat} heardAt={heardAt} />
        <span className={css.used}>{usedWords(seat, practice)}</span>
      </div>
      <WriteTo seat={seat} wide />
    </li>
  );
}

/** A role that nobody sits for now. */
function EmptyRow({ agent }: { agent: Agent }) {
  return (
    <li className={css.row} data-role={agent.role} data-testid={`seat-${agent.role}`}>
      <div className={css.who}>
        <SeatName role={agent.role} />
      </div>
      <div className={css.what}>
        <span className={css.now}>
          <StateWord state={agent.state} />
        </span>
        <span className={css.used}>
          {agent.note || 'Nothing to do'}
          {agent.queued > 0 ? ` · ${agent.queued} queued` : ''}
        </span>
      </div>
    </li>
  );
}
