/** The timeline: what happened, newest at the bottom, following along until one scrolls up. */
import { Loader } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ChevronDown, ChevronRight } from 'lucide-react';
import { memo, type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Virtuoso, type VirtuosoHandle } from 'react-virtuoso';
import { api } from '../api/client';
import type { Role, Task, TaskCard, TimelineItem } from '../api/types';
import { useLive } from '../live/store';
import { clock, plural } from '../parts/format';
import { Markdown } from '../parts/Markdown';
import { Monogram } from '../parts/Seat';
import { roles, seats } from '../theme/tokens';
import css from './Activity.module.css';
import { body, type Call, merge, type Row, rows } from './rows';
import { StepList } from './StepList';

const none: TimelineItem[] = [];

export function Activity({ card, task }: { card: TaskCard; task: Task | undefined }) {
  const recorded = useQuery({
    queryKey: ['timeline', card.id],
    queryFn: () => api.timeline(card.id),
    // What comes after is in the stream.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  const live = useLive((state) => state.lines[card.id] ?? none);
  const [only, setOnly] = useState<Role | ''>('');
  const shown = useMemo(() => {
    const all = merge(recorded.data ?? none, live);
    return rows(only ? all.filter((item) => item.role === only) : all);
  }, [recorded.data, live, only]);

  return (
    <div className={css.split}>
      <div className={css.pane}>
        <label className={css.filter}>
          Show{' '}
          <select
            value={only}
            onChange={(event) => setOnly(event.currentTarget.value as Role | '')}
          >
            <option value="">everyone</option>
            {roles.map((role) => (
              <option key={role} value={role}>
                {seats[role].name}
              </option>
            ))}
          </select>
        </label>
        {recorded.isPending ? (
          <div className={css.empty}>
            <Loader size="sm" />
          </div>
        ) : shown.length === 0 ? (
          <p className={css.empty}>
            {card.state === 'backlog'
              ? 'Nothing has happened yet. Start the task to set the team to work.'
              : 'Nothing to show.'}
          </p>
        ) : (
          <Lines rows={shown} />
        )}
      </div>
      {task ? (
        <aside className={css.side} aria-label="Steps">
          <StepList task={task} />
        </aside>
      ) : null}
    </div>
  );
}

const SETTLE_MS = 1_000;
const FIRST_ROWS = 20;
/** Further down than any list reaches. */
const BEYOND = 1e9;

function Lines({ rows: shown }: { rows: Row[] }) {
  const list = useRef<VirtuosoHandle>(null);
  const [bottom, setBottom] = useState(true);
  const [seen, setSeen] = useState(shown.length);
  // The list's own way to begin at the end hides it until it has scrolled, which a list that fits
  // never does; so it is scrolled from here, again and again while its rows are being measured.
  const settlesUntil = useRef(0);
  const toEnd = useCallback(() => {
    settlesUntil.current = Date.now() + SETTLE_MS;
    list.current?.scrollTo({ top: BEYOND });
  }, []);
  useEffect(toEnd, [toEnd]);
  // Rows grow too, by a call or a piece of text; the list follows that only when told.
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is told whenever the rows change
  useEffect(() => {
    if (bottom) list.current?.autoscrollToBottom();
  }, [shown]);
  const fresh = bottom ? 0 : shown.length - seen;
  return (
    <>
      <Virtuoso
        ref={list}
        className={css.lines}
        onWheel={() => {
          settlesUntil.current = 0;
        }}
        data={shown}
        computeItemKey={(_, row) => row.key}
        followOutput={(atBottom) => (atBottom ? 'auto' : false)}
        // Before anything is measured there is something to see already.
        initialItemCount={Math.min(shown.length, FIRST_ROWS)}
        atBottomThreshold={8}
        atBottomStateChange={(at) => {
          setBottom(at);
          setSeen(shown.length);
        }}
        totalListHeightChanged={() => {
          // The height is known a frame before it is drawn.
          requestAnimationFrame(() => {
            if (Date.now() < settlesUntil.current) list.current?.scrollTo({ top: BEYOND });
          });
        }}
        increaseViewportBy={300}
        itemContent={(_, row) => <Line row={row} />}
      />
      {bottom ? null : (
        <button type="button" className={css.jump} onClick={toEnd}>
          {fresh > 0 ? `${plural(fresh, 'new line')}, jump` : 'Jump to the latest'}
        </button>
      )}
    </>
  );
}

const Line = memo(function Line({ row }: { row: Row }) {
  switch (row.type) {
    case 'writing':
      return (
        <Frame at={row.at} role={row.role}>
          <div className={css.writing}>{row.text}</div>
        </Frame>
      );
    case 'calls':
      return (
        <Frame at={row.at} role={row.role}>
          <Calls calls={row.calls} />
        </Frame>
      );
    case 'line':
      return (
        <Frame at={row.item.at} role={row.item.role ?? null}>
          <Item item={row.item} />
        </Frame>
      );
  }
});

function Frame({ at, role, children }: { at: string; role: Role | null; children: ReactNode }) {
  return (
    <div className={css.row} data-role={role ?? undefined}>
      <time className={css.time} dateTime={at}>
        {clock(at)}
      </time>
      <span className={css.who} title={role ? seats[role].name : 'NEXUS'}>
        {role ? <Monogram role={role} /> : null}
      </span>
      <div className={css.what}>{children}</div>
    </div>
  );
}

function Item({ item }: { item: TimelineItem }) {
  switch (item.kind) {
    case 'text':
      return <Markdown text={body(item)} />;
    case 'thinking':
      return <Fold head={<span className={css.quiet}>Thinking</span>} detail={item.detail ?? ''} />;
    case 'check':
    case 'question':
    case 'message':
    case 'fact':
      return (
        <Fold
          head={
            <span className={item.kind === 'fact' ? css.fact : css.strong}>
              <Mark ok={item.ok} /> {item.text}
            </span>
          }
          detail={item.detail ?? ''}
        />
      );
    case 'retry':
    case 'limit':
      return (
        <Fold head={<span className={css.warn}>{item.text}</span>} detail={item.detail ?? ''} />
      );
    case 'unknown':
      return (
        <Fold
          head={<span className={css.quiet}>A line this version does not know</span>}
          detail={body(item)}
        />
      );
    case 'text_delta':
    case 'tool_started':
    case 'tool_ended':
      return <span>{item.text}</span>;
  }
}

function Mark({ ok }: { ok: boolean | null | undefined }) {
  if (ok == null) return null;
  return ok ? (
    <span className={css.ok} role="img" aria-label="passed">
      ✓
    </span>
  ) : (
    <span className={css.bad} role="img" aria-label="failed">
      ×
    </span>
  );
}

/** One line; the rest on demand. */
function Fold({ head, detail }: { head: ReactNode; detail: string }) {
  const [open, setOpen] = useState(false);
  if (detail.trim() === '') return <div className={css.flat}>{head}</div>;
  return (
    <>
      <button
        type="button"
        className={css.fold}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        {head}
        {open ? <ChevronDown size={14} aria-hidden /> : <ChevronRight size={14} aria-hidden />}
      </button>
      {open ? <pre className={css.detail}>{detail}</pre> : null}
    </>
  );
}

/** How many calls of a sequence stay in sight. */
const CALLS_SHOWN = 4;

function Calls({ calls }: { calls: Call[] }) {
  const [all, setAll] = useState(false);
  const hidden = all ? 0 : Math.max(0, calls.length - CALLS_SHOWN);
  return (
    <div className={css.calls}>
      {hidden > 0 ? (
        <button type="button" className={css.earlier} onClick={() => setAll(true)}>
          {plural(hidden, 'earlier call')}
        </button>
      ) : null}
      {calls.slice(hidden).map((call) => (
        <CallLine key={call.key} call={call} />
      ))}
    </div>
  );
}

function CallLine({ call }: { call: Call }) {
  const text = call.started?.text ?? call.ended?.text ?? '';
  const detail = [call.started?.detail, call.ended?.detail].filter(Boolean).join('\n\n');
  const running = call.started !== null && call.ended === null;
  return (
    <Fold
      head={
        <span className={css.call}>
          <span className={css.callText}>{text}</span>
          {running ? <span className={css.quiet}>running</span> : <Mark ok={call.ended?.ok} />}
        </span>
      }
      detail={detail}
    />
  );
}
