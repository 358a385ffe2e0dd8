/** One task: what it needs from the person, and everything that can be known about it. */
import { Button, Loader, Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useEffect } from 'react';
import { Link, useLocation } from 'wouter';
import { api } from '../api/client';
import type { Action, TaskCard } from '../api/types';
import { actionNames, give } from '../app/commands';
import { useDesk } from '../app/desk';
import { PageMenu } from '../board/TaskMenu';
import { HoldTag } from '../limits/Holds';
import { useNow } from '../live/clock';
import { useLive } from '../live/store';
import { ago, elapsed, tokens, usd } from '../parts/format';
import { AtWork, FlagsTag, PriorityTag, QueueTag, WaitsTag } from '../parts/Marks';
import { Notice } from '../parts/Notice';
import { StageRail } from '../parts/Seat';
import { PracticeTag, StateTag } from '../parts/Tag';
import { PlanTab } from '../plan/PlanTab';
import { Activity } from './Activity';
import { Changes } from './Changes';
import { Details } from './Details';
import { Messages } from './Messages';
import { Needs } from './Needs';
import { Summary } from './Summary';
import css from './TaskPage.module.css';

type Tab = 'summary' | 'activity' | 'plan' | 'messages' | 'changes' | 'details';
const tabs: readonly Tab[] = ['summary', 'activity', 'plan', 'messages', 'changes', 'details'];

function firstTab(card: TaskCard): Tab {
  if (card.question?.kind === 'plan' || card.paused === 'plan') return 'plan';
  switch (card.state) {
    case 'planning':
    case 'working':
    case 'needs_you':
      return 'activity';
    case 'review':
      return 'changes';
    case 'backlog':
    case 'paused':
    case 'failed':
    case 'done':
    case 'cancelled':
      return 'summary';
  }
}

export default function TaskPage({ name, tab }: { name: string; tab?: string | undefined }) {
  const card = useLive(
    (live) => live.cards[name] ?? Object.values(live.cards).find((each) => each.name === name),
  );
  const loaded = useLive((live) => live.loaded);
  if (card) return <Page card={card} tab={tabs.find((each) => each === tab) ?? firstTab(card)} />;
  return (
    <div className={css.none}>
      {loaded ? (
        <>
          There is no task {name}. <Link href="/">Back to the board</Link>
        </>
      ) : (
        <Loader size="sm" />
      )}
    </div>
  );
}

function Page({ card, tab }: { card: TaskCard; tab: Tab }) {
  const [, go] = useLocation();
  const query = useQuery({ queryKey: ['task', card.id], queryFn: () => api.task(card.id) });
  const task = query.data;
  useEffect(() => useDesk.setState({ opened: card.name }), [card.name]);
  useEffect(() => {
    document.title = `${card.name} ${card.title} · NEXUS`;
    return () => {
      document.title = 'NEXUS';
    };
  }, [card.name, card.title]);
  return (
    <div className={css.page}>
      <Head card={card} />
      <Needs card={card} task={task} />
      {query.error && !task ? (
        <div className={css.needs}>
          <Notice meaning="danger" title="The task could not be read">
            {query.error.message}
          </Notice>
        </div>
      ) : null}
      <Tabs
        value={tab}
        onChange={(next) => go(`/t/${card.name}/${next}`)}
        keepMounted={false}
        classNames={{ root: css.tabs ?? '', list: css.list ?? '', panel: css.panel ?? '' }}
      >
        <Tabs.List>
          <TabName value="summary">Summary</TabName>
          <TabName value="activity">Activity</TabName>
          <TabName value="plan">
            Plan
            {card.progress.steps > 0 ? (
              <span className={css.numbers}>
                {card.progress.steps_done}/{card.progress.steps}
              </span>
            ) : null}
          </TabName>
          <TabName value="messages">Messages</TabName>
          <TabName value="changes">
            Changes
            {card.lines_added != null ? (
              <span className={css.numbers}>
                +{card.lines_added} −{card.lines_removed ?? 0}
              </span>
            ) : null}
          </TabName>
          <TabName value="details">Details</TabName>
        </Tabs.List>
        <Tabs.Panel value="summary" tabIndex={0}>
          {task ? <Summary task={task} /> : <Waiting />}
        </Tabs.Panel>
        <Tabs.Panel value="activity">
          <Activity card={card} task={task} />
        </Tabs.Panel>
        <Tabs.Panel value="plan" tabIndex={0}>
          {task ? <PlanTab task={task} /> : <Waiting />}
        </Tabs.Panel>
        <Tabs.Panel value="messages" tabIndex={0}>
          <Messages card={card} />
        </Tabs.Panel>
        <Tabs.Panel value="changes" tabIndex={0}>
          {task ? <Changes task={task} /> : <Waiting />}
        </Tabs.Panel>
        <Tabs.Panel value="details" tabIndex={0}>
          {task ? <Details task={task} /> : <Waiting />}
        </Tabs.Panel>
      </Tabs>
    </div>
  );
}

const TabName = ({ value, children }: { value: Tab; children: ReactNode }) => (
  <Tabs.Tab value={value} data-testid={`tab-${value}`}>
    {children}
  </Tabs.Tab>
);

const Waiting = () => (
  <div className={css.none}>
    <Loader size="sm" />
  </div>
);

function Head({ card }: { card: TaskCard }) {
  return (
    <header className={css.head}>
      <div className={css.line}>
        <nav aria-label="Where you are" className={css.crumbs}>
          <Link href="/">Board</Link> <span aria-hidden>›</span> {card.name}
        </nav>
        <span className={css.gap} />
        <Actions card={card} />
      </div>
      <h1 className={css.title}>{card.title}</h1>
      <div className={css.facts}>
        <StateTag state={card.state} stopping={card.stopping} />
        {card.hold ? <HoldTag hold={card.hold} /> : null}
        <PriorityTag priority={card.priority} />
        <WaitsTag card={card} />
        <QueueTag card={card} />
        <FlagsTag flags={card.flags} />
        <PracticeTag team={card.team} />
        <StageRail stages={card.stages} />
        <AtWork card={card} />
        <Facts card={card} />
      </div>
    </header>
  );
}

function Facts({ card }: { card: TaskCard }) {
  const now = useNow(1_000);
  const parts = [card.project_name];
  if (card.started_at) {
    parts.push(
      card.ended_at
        ? `took ${elapsed(card.started_at, card.ended_at, now)}`
        : `started ${ago(card.started_at, now)}`,
    );
  }
  if (card.tokens > 0) parts.push(tokens(card.tokens, card.at_least));
  if (card.team !== 'practice' && card.started_at) {
    parts.push(
      card.budget_usd == null
        ? usd(card.cost_usd, card.at_least)
        : `${usd(card.cost_usd, card.at_least)} of ${usd(card.budget_usd)}`,
    );
  }
  return <span className={css.muted}>{parts.join(' · ')}</span>;
}

/** The commands in the order in which one reaches for them; the first one leads. */
const order: readonly Action[] = [
  'accept',
  'start',
  'resume',
  'restore',
  'request_changes',
  'pause',
  'discard',
  'cancel',
];

function Actions({ card }: { card: TaskCard }) {
  const given = order.filter((action) => card.actions.includes(action));
  return (
    <div className={css.actions}>
      {given
        .map((action) => (
          <Button
            key={action}
            variant={isLead(action) ? 'filled' : 'default'}
            onClick={() => void give(card, action)}
            data-testid={action.replace('_', '-')}
          >
            {actionNames[action]}
          </Button>
        ))
        .reverse()}
      <PageMenu card={card} className={css.more} />
    </div>
  );
}

const isLead = (action: Action) => ['accept', 'start', 'resume', 'restore'].includes(action);
