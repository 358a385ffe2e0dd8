/** The frame around every screen: header, rail, status line. */
import { ActionIcon, Button, Menu, useMantineColorScheme } from '@mantine/core';
import { spotlight } from '@mantine/spotlight';
import { Inbox, Kanban, Monitor, Moon, Plus, Search, Stethoscope, Sun } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link, useLocation, useSearchParams } from 'wouter';
import { chooseFolder } from '../compose/folders';
import { waitsForYou } from '../inbox/waiting';
import { useNow } from '../live/clock';
import { useLive } from '../live/store';
import { ago, duration, usd } from '../parts/format';
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
        <LostBanner />
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
      <ThemeMenu />
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

/** What the tasks that were started today have cost, as far as prices are known. */
function CostToday() {
  const [search] = useSearchParams();
  const project = search.get('project');
  const today = new Date().toDateString();
  const cost = useLive((live) =>
    Object.values(live.cards)
      .filter((card) => !project || card.project_id === project)
      .filter((card) => card.started_at && new Date(card.started_at).toDateString() === today)
      .reduce((sum, card) => sum + (card.cost_usd ?? 0), 0),
  );
  return (
    <span className={css.cost} title="Cost of the shown tasks that were started today">
      {usd(cost)} today
    </span>
  );
}

function ThemeMenu() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const Icon = colorScheme === 'light' ? Sun : colorScheme === 'dark' ? Moon : Monitor;
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="default" aria-label="Appearance" size={28}>
          <Icon size={15} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          leftSection={<Sun size={14} aria-hidden />}
          onClick={() => setColorScheme('light')}
        >
          Light
        </Menu.Item>
        <Menu.Item
          leftSection={<Moon size={14} aria-hidden />}
          onClick={() => setColorScheme('dark')}
        >
          Dark
        </Menu.Item>
        <Menu.Item
          leftSection={<Monitor size={14} aria-hidden />}
          onClick={() => setColorScheme('auto')}
        >
          As the system
        </Menu.Item>
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

/** How fresh what is shown is. */
function StatusLine() {
  const link = useLive((live) => live.link);
  const heardAt = useLive((live) => live.heardAt);
  const version = useLive((live) => live.version);
  const working = useLive(
    (live) =>
      Object.values(live.cards).filter(
        (card) => card.state === 'working' || card.state === 'planning',
      ).length,
  );
  const now = useNow();
  const words =
    link.state === 'live'
      ? ['connected', working > 0 ? `${working} at work` : 'nothing at work']
      : link.state === 'connecting'
        ? ['connecting']
        : ['not connected'];
  if (link.state === 'live' && heardAt) {
    words.push(`last event ${ago(new Date(heardAt).toISOString(), now)}`);
  }
  return (
    <footer className={css.status} data-link={link.state} data-testid="status">
      <span className={css.dot} aria-hidden />
      <span>{words.join(' · ')}</span>
      <span className={css.gap} />
      <span>{version ? `NEXUS ${version}` : ''}</span>
      <button type="button" onClick={() => show({ type: 'shortcuts' })}>
        Shortcuts <kbd>?</kbd>
      </button>
    </footer>
  );
}

function LostBanner() {
  const link = useLive((live) => live.link);
  const heardAt = useLive((live) => live.heardAt);
  const now = useNow();
  if (link.state !== 'lost') return null;
  return (
    <div className={css.lost} role="alert">
      <strong>The connection to NEXUS was lost.</strong>{' '}
      {heardAt
        ? `What you see is ${duration(Math.floor((now - heardAt) / 1000) * 1000)} old. `
        : ''}
      Trying again by itself. <span className={css.why}>({link.reason})</span>
    </div>
  );
}
