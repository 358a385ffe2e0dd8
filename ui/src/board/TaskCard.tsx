/** A task on the board. The order of its lines is the same on every card. */
import { memo, type ReactNode } from 'react';
import { useLocation } from 'wouter';
import type { TaskCard as Card, QuestionKind, Standing } from '../api/types';
import { give } from '../app/commands';
import { HoldTag } from '../limits/Holds';
import { type Act, pauseWords, wayOn } from '../limits/pause';
import { useNow } from '../live/clock';
import { useLive } from '../live/store';
import { ago, elapsed, plural, tokens, usd } from '../parts/format';
import { AtWork, FlagsTag, PriorityTag, ProgressLine, QueueTag, WaitsTag } from '../parts/Marks';
import { object } from '../parts/question';
import { StageRail } from '../parts/Seat';
import { PracticeTag, Tag } from '../parts/Tag';
import { visible } from '../parts/visible';
import type { Meaning } from '../theme/tokens';
import { pausedByItself } from './columns';
import css from './TaskCard.module.css';
import { CardMenu } from './TaskMenu';

export const TaskCard = memo(function TaskCard({ card }: { card: Card }) {
  const [, go] = useLocation();
  const open = () => go(`/t/${card.name}`);
  return (
    <article className={css.card} data-testid={`card-${card.name}`} data-state={card.state}>
      <header className={css.top}>
        <span className={css.id}>{card.name}</span>
        <span className={css.project}>{card.project_name}</span>
        <PriorityTag priority={card.priority} />
        <PracticeTag team={card.team} />
        <CardMenu card={card} className={css.menu} open={open} />
      </header>
      <h3 className={css.title}>
        <a
          href={`/t/${card.name}`}
          onClick={(event) => {
            event.preventDefault();
            open();
          }}
          draggable={false}
        >
          {card.title}
        </a>
      </h3>
      <NowLine card={card} />
      {card.stages.length > 0 ? <StageRail stages={card.stages} /> : null}
      {showsProgress(card) ? <ProgressLine card={card} /> : null}
      <Reason card={card} />
      <footer className={css.foot}>
        <Spent card={card} />
        <NextAct card={card} open={open} />
      </footer>
    </article>
  );
});

/** Before it and after it the place on the board says as much. */
const showsProgress = (card: Card) =>
  card.started_at != null && ['working', 'needs_you', 'paused', 'failed'].includes(card.state);

/** What the agent holding the ball does: the tool and its object. */
function NowLine({ card }: { card: Card }) {
  const now = useLive((live) => live.now[card.id]);
  if (card.stopping || card.hold) return null;
  if (card.state === 'needs_you' && card.question) {
    return (
      <p className={css.now} data-role={card.question.role} title={card.question.text}>
        {visible(object(card.question))}
      </p>
    );
  }
  if (card.state !== 'planning' && card.state !== 'working') return null;
  const role = now?.role ?? card.active_role ?? undefined;
  return (
    <p className={css.now} data-role={role} title={now?.text ?? card.note}>
      {now?.text ?? card.note}
    </p>
  );
}

const standings: Record<Standing, [Meaning | 'plain', string]> = {
  green: ['success', 'Checks pass'],
  broken_by_us: ['danger', 'Breaks a check'],
  red_before: ['warning', 'Red before, red after'],
  no_checks: ['plain', 'No checks'],
};

export function StandingTag({ standing }: { standing: Standing }) {
  const [meaning, words] = standings[standing];
  return <Tag meaning={meaning}>{words}</Tag>;
}

/** Why the card stands where it stands. */
function Reason({ card }: { card: Card }) {
  const parts: ReactNode[] = [];
  if (card.stopping) {
    parts.push(
      <Tag key="stopping" meaning="plain">
        stopping…
      </Tag>,
    );
  } else if (card.hold) parts.push(<HoldTag key="hold" hold={card.hold} />);
  if (card.question) parts.push(<Asked key="asked" card={card} at={card.question.asked_at} />);
  if (card.state === 'failed') {
    parts.push(
      <Tag key="failed" meaning="danger">
        Failed
      </Tag>,
      <span key="why">{card.note}</span>,
    );
  }
  if (card.state === 'paused') {
    parts.push(
      <Tag key="paused" meaning={pausedByItself(card) ? 'warning' : 'plain'}>
        {pauseWords[card.paused ?? 'person'].short}
      </Tag>,
    );
  }
  if (card.waits_for.length > 0) parts.push(<WaitsTag key="waits" card={card} />);
  if (card.queue_place != null) parts.push(<QueueTag key="queue" card={card} />);
  else if (card.state === 'backlog' && card.note) parts.push(<span key="why">{card.note}</span>);
  if (card.state === 'cancelled')
    parts.push(
      <Tag key="x" meaning="plain">
        Cancelled
      </Tag>,
    );
  if (card.state === 'done')
    parts.push(
      <Tag key="ok" meaning="success">
        Accepted
      </Tag>,
    );
  if (card.state === 'review' && card.standing) {
    parts.push(<StandingTag key="standing" standing={card.standing} />);
  }
  if (card.flags > 0 && card.state !== 'done' && card.state !== 'cancelled') {
    parts.push(<FlagsTag key="flags" flags={card.flags} />);
  }
  if (card.at_work > 1) parts.push(<AtWork key="work" card={card} />);
  const changed = card.state === 'review' || card.state === 'done';
  if (changed && card.files_changed != null) {
    parts.push(
      <span key="files" className={css.numbers}>
        +{card.lines_added ?? 0} −{card.lines_removed ?? 0} · {plural(card.files_changed, 'file')}
      </span>,
    );
  }
  return parts.length > 0 ? <p className={css.reason}>{parts}</p> : null;
}

const asks: Record<QuestionKind, string> = {
  tool: 'Approval',
  open: 'Question',
  rounds: 'Another round?',
  plan: 'Plan to approve',
  handed_in: 'Good enough?',
};

function Asked({ card, at }: { card: Card; at: string }) {
  const now = useNow(10_000);
  const kind = card.question?.kind ?? 'open';
  return (
    <Tag meaning="warning">
      {asks[kind]} · {ago(at, now)}
    </Tag>
  );
}

function Spent({ card }: { card: Card }) {
  if (!card.started_at) {
    return (
      <p className={css.spent}>
        {card.budget_usd == null ? 'no cost cap' : `cost cap ${usd(card.budget_usd)}`}
      </p>
    );
  }
  const cost =
    card.team === 'practice'
      ? null
      : card.budget_usd == null
        ? usd(card.cost_usd, card.at_least)
        : `${usd(card.cost_usd, card.at_least)} of ${usd(card.budget_usd)}`;
  return (
    <p className={css.spent}>
      {card.tokens > 0 ? <span>{tokens(card.tokens, card.at_least)} · </span> : null}
      {cost ? <span>{cost} · </span> : null}
      <Elapsed card={card} />
    </p>
  );
}

function Elapsed({ card }: { card: Card }) {
  const now = useNow();
  return card.started_at ? <span>{elapsed(card.started_at, card.ended_at, now)}</span> : null;
}

/** The next human act, if there is one. Never more than one button. */
function NextAct({ card, open }: { card: Card; open: () => void }) {
  const act = nextAct(card, open);
  if (!act) return null;
  return (
    <button type="button" className={css.act} onClick={act.run}>
      {act.name}
    </button>
  );
}

function nextAct(card: Card, open: () => void): Act | null {
  if (card.stopping) return null;
  switch (card.state) {
    case 'needs_you':
      return {
        name: card.question?.kind === 'plan' ? 'Look at the plan' : 'Answer',
        run: open,
      };
    case 'review':
      return { name: 'Review', run: open };
    case 'failed':
      return { name: 'Look', run: open };
    case 'paused':
      return wayOn(card, open);
    case 'backlog':
      return card.actions.includes('start')
        ? { name: 'Start', run: () => void give(card, 'start') }
        : null;
    case 'planning':
    case 'working':
      // Held until the person has done something about it.
      return card.hold && card.actions.includes('resume')
        ? { name: 'Try again', run: () => void give(card, 'resume') }
        : null;
    case 'done':
    case 'cancelled':
      return null;
  }
}
