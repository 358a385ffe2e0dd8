/** The frame around every screen: header, rail, status line. */
import { ActionIcon, Button, Menu, useMantineColorScheme } from '@mantine/core';
import { spotlight } from '@mantine/spotlight';
import {
  ChartNoAxesColumn,
  Check,
  Gauge,
  Inbox,
  Kanban,
  Menu as MenuIcon,
  Monitor,
  Moon,
  OctagonX,
  Plus,
  Search,
  ShieldCheck,
  Stethoscope,
  Sun,
  Users,
} from 'lucide-react';
import type { ReactNode } from 'react';
import { Link, useLocation, useSearchParams } from 'wouter';
import type { Caps, Spent, TaskCard } from '../api/types';
import { chooseFolder } from '../compose/folders';
import { waitsForYou } from '../inbox/waiting';
import { share } from '../limits/Used';
import { useNow } from '../live/clock';
import { useLive } from '../live/store';
import { ago, duration, usd } from '../parts/format';
import { stopAll } from './commands';
import { compose, show } from './desk';
import css from './Shell.module.css';

export function Shell({ children }: { children: ReactNode }) {
  return (
    <div className={css.shell}>
      <a className={css.skip} href="#main">
        Skip to content
      </a>
      <Header />
      <Rail />
      <main id="main" className={css.main} tabIndex={-1}>
        {children}
      </main>
      <StatusLine />
    </div>
  );
}

function Header() {
  return (
    <header className={css.header}>
      <Link href="/" className={css.brand}>
        NEXUS
      </Link>
      <ProjectMenu />
      <span className={css.gap} />
      <button
        type="button"
        className={css.search}
        onClick={() => spotlight.open()}
        title="Search or run a command"
      >
        <Search size={14} aria-hidden />
        <span className={css.word}>Search</span>
        <kbd className={css.wide} aria-hidden>
          Ctrl K
        </kbd>
      </button>
      <CostToday />
      <MainMenu />
      <Button
        leftSection={<Plus size={14} aria-hidden />}
        onClick={() => compose()}
        data-testid="new-task"
      >
        New task
      </Button>
    </header>
  );
}

function ProjectMenu() {
  const projects = useLive((live) => live.projects);
  const [search] = useSearchParams();
  const [, go] = useLocation();
  const chosen = projects.find((project) => project.id === search.get('project'));
  return (
    <Menu position="bottom-start">
      <Menu.Target>
        <button type="button" className={css.project} title="Choose the project to show">
          {chosen?.name ?? 'All projects'} <span aria-hidden>▾</span>
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => go('/')}>All projects</Menu.Item>
        {projects.map((project) => (
          <Menu.Item key={project.id} onClick={() => go(`/?project=${project.id}`)}>
            {project.name}
            {project.practice ? ' (practice, no AI)' : ''}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item onClick={() => void chooseFolder()}>Add a folder…</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** What all tasks together used today, and may use. */
function CostToday() {
  const today = useLive((live) => live.today);
  if (!today) return null;
  const { spent, caps } = today;
  const used = usd(spent.cost_usd, spent.at_least);
  return (
    <button
      type="button"
      className={css.cost}
      title="What all tasks used today, a day in UTC. Change what a day may use"
      onClick={() => show({ type: 'today' })}
      data-testid="today"
      data-near={nearest(spent, caps) >= 0.8}
    >
      {caps.cost_usd == null ? used : `${used} of ${usd(caps.cost_usd)}`} today
    </button>
  );
}

/** How much of the cap that is nearest is used. */
function nearest(spent: Spent, caps: Caps): number {
  return Math.max(
    share(spent.cost_usd, caps.cost_usd) ?? 0,
    share(spent.tokens, caps.tokens) ?? 0,
    share(spent.seconds, caps.seconds) ?? 0,
    share(spent.turns, caps.turns) ?? 0,
  );
}

function MainMenu() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const [, go] = useLocation();
  const looks = [
    ['light', 'Light', Sun],
    ['dark', 'Dark', Moon],
    ['auto', 'Light or dark, as the system', Monitor],
  ] as const;
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="default" aria-label="Menu" size={28} data-testid="main-menu">
          <MenuIcon size={15} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          leftSection={<OctagonX size={14} aria-hidden />}
          onClick={() => void stopAll()}
          data-testid="stop-all"
        >
          Stop all work
        </Menu.Item>
        <Menu.Item
          leftSection={<Gauge size={14} aria-hidden />}
          onClick={() => show({ type: 'today' })}
        >
          Caps of a day…
        </Menu.Item>
        <Menu.Item
          leftSection={<ShieldCheck size={14} aria-hidden />}
          onClick={() => go('/allowed')}
        >
          What is allowed
        </Menu.Item>
        <Menu.Divider />
        {looks.map(([scheme, name, Icon]) => (
          <Menu.Item
            key={scheme}
            leftSection={<Icon size={14} aria-hidden />}
            rightSection={colorScheme === scheme ? <Check size={14} aria-label="chosen" /> : null}
            onClick={() => setColorScheme(scheme)}
            data-testid={`look-${scheme}`}
          >
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function Rail() {
  const waiting = useLive((live) => waitsForYou(live.cards).length);
  const projects = useLive((live) => live.projects);
  const [search] = useSearchParams();
  const [path] = useLocation();
  const project = path === '/' ? search.get('project') : null;
  return (
    <nav className={css.rail} aria-label="Main">
      <RailLink
        href="/"
        name="Board"
        icon={<Kanban size={16} aria-hidden />}
        here={path === '/' && !project}
      />
      <RailLink
        href="/inbox"
        name="Inbox"
        icon={<Inbox size={16} aria-hidden />}
        here={path === '/inbox'}
        count={waiting}
      />
      <RailLink
        href="/agents"
        name="Agents"
        icon={<Users size={16} aria-hidden />}
        here={path === '/agents'}
      />
      <RailLink
        href="/allowed"
        name="Allowed"
        icon={<ShieldCheck size={16} aria-hidden />}
        here={path === '/allowed'}
      />
      <RailLink
        href="/insights"
        name="Insights"
        icon={<ChartNoAxesColumn size={16} aria-hidden />}
        here={path === '/insights'}
      />
      <RailLink
        href="/doctor"
        name="Doctor"
        icon={<Stethoscope size={16} aria-hidden />}
        here={path === '/doctor'}
      />
      <div className={css.projects}>
        <h2 className={css.group}>Projects</h2>
        {projects.map((each) => (
          <Link
            key={each.id}
            href={`/?project=${each.id}`}
            className={css.link}
            aria-current={project === each.id ? 'page' : undefined}
            title={each.path}
          >
            <span className={css.name}>{each.name}</span>
            {each.practice ? <span className={css.practice}>practice</span> : null}
          </Link>
        ))}
        <button
          type="button"
          className={css.link}
          onClick={() => void chooseFolder()}
          data-testid="add-folder"
        >
          <Plus size={14} aria-hidden /> Add a folder
        </button>
      </div>
    </nav>
  );
}

function RailLink(props: {
  href: string;
  name: string;
  icon: ReactNode;
  here: boolean;
  count?: number;
}) {
  return (
    <Link
      href={props.href}
      className={css.link}
      aria-current={props.here ? 'page' : undefined}
      title={props.name}
    >
      {props.icon}
      <span className={css.label}>{props.name}</span>
      {props.count ? <span className={css.badge}>{props.count}</span> : null}
    </Link>
  );
}

/** How fresh what is shown is. A lost connection is said here too, where nothing has to move. */
function StatusLine() {
  const link = useLive((live) => live.link);
  const version = useLive((live) => live.version);
  return (
    <footer className={css.status} data-link={link.state} data-testid="status">
      <span className={css.dot} aria-hidden />
      {link.state === 'lost' ? <Lost reason={link.reason} /> : <Fresh connected={link.state} />}
      <span className={css.gap} />
      <span className={css.wide}>{version ? `NEXUS ${version}` : ''}</span>
      <button type="button" onClick={() => show({ type: 'shortcuts' })}>
        Shortcuts <kbd>?</kbd>
      </button>
    </footer>
  );
}

function Fresh({ connected }: { connected: 'connecting' | 'live' }) {
  const heardAt = useLive((live) => live.heardAt);
  const working = useLive((live) => Object.values(live.cards).filter(isAtWork).length);
  const stopping = useLive((live) => Object.values(live.cards).filter((c) => c.stopping).length);
  const now = useNow();
  if (connected === 'connecting') return <span>connecting</span>;
  const words = ['connected', working > 0 ? `${working} at work` : 'nothing at work'];
  if (stopping > 0) words.push(`${stopping} stopping…`);
  if (heardAt) words.push(`last event ${ago(new Date(heardAt).toISOString(), now)}`);
  return <span className={css.words}>{words.join(' · ')}</span>;
}

const isAtWork = (card: TaskCard) =>
  !card.stopping && !card.hold && (card.state === 'working' || card.state === 'planning');

function Lost({ reason }: { reason: string }) {
  const heardAt = useLive((live) => live.heardAt);
  const now = useNow();
  const age = heardAt ? duration(Math.floor((now - heardAt) / 1000) * 1000) : null;
  return (
    <>
      <span className={css.words} title={reason}>
        <strong>The connection to NEXUS was lost.</strong>{' '}
        {age ? `What you see is ${age} old. ` : ''}Trying again by itself. ({reason})
      </span>
      <span className={css.unseen} role="alert">
        The connection to NEXUS was lost.
      </span>
    </>
  );
}
