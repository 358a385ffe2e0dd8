/** A seat in words: what it does now, and when it was last heard. */
import type { Agent, Role, Seat } from '../api/types';
import type { Pulse } from '../live/pulse';
import { duration } from '../parts/format';
import { roles } from '../theme/tokens';

const states: Record<string, { word: string; glyph: string }> = {
  starting: { word: 'starting', glyph: '◔' },
  thinking: { word: 'thinking', glyph: '●' },
  tool: { word: 'using a tool', glyph: '●' },
  needs_you: { word: 'needs you', glyph: '!' },
  stopping: { word: 'stopping', glyph: '◌' },
  parked: { word: 'parked', glyph: '‖' },
  idle: { word: 'idle', glyph: '○' },
  // The words of a seat of which only the board tells.
  working: { word: 'working', glyph: '●' },
};

/** A state this version does not know is shown as it came. */
export const stateOf = (state: string) =>
  states[state] ?? { word: state.replaceAll('_', ' '), glyph: '○' };

/** Its program is running a turn, so that something is to be heard of it. */
export const isBusy = (seat: Seat) =>
  ['starting', 'thinking', 'tool', 'stopping'].includes(seat.state);

export interface Doing {
  state: string;
  /** The tool and its object; `null` where it uses none. */
  text: string | null;
  heardAt: string | null;
}

/** What it does: as it was read, or as the stream says since. */
export function doing(seat: Seat, pulse: Pulse | undefined): Doing {
  const read = {
    state: seat.state,
    text: seat.tool ? [seat.tool, seat.object].filter(Boolean).join(' ') : null,
    heardAt: seat.heard_at ?? null,
  };
  if (!pulse || Date.parse(pulse.at) <= Date.parse(seat.heard_at ?? '1970-01-01')) return read;
  if (!isBusy(seat) || seat.state === 'stopping') return { ...read, heardAt: pulse.at };
  return { state: pulse.text ? 'tool' : 'thinking', text: pulse.text, heardAt: pulse.at };
}

/** How long nothing was heard; counted by the second, as one counts a pulse. */
export function heardWords(heardAt: string | null, now: number): string {
  if (heardAt === null) return 'nothing heard yet';
  const seconds = Math.floor((now - Date.parse(heardAt)) / 1000);
  return seconds < 1 ? 'heard just now' : `heard ${duration(seconds * 1000)} ago`;
}

/** A seat that is shown: a live one, or the empty one of a role that has none. */
export type Shown = { role: Role; seat: Seat } | { role: Role; seat: null; agent: Agent };

/** Role by role: its live seats, or what the board knows of it. */
export function shown(agents: readonly Agent[], team: readonly Seat[]): Shown[] {
  return roles.flatMap((role): Shown[] => {
    const seats = team.filter((seat) => seat.role === role);
    if (seats.length > 0) return [...seats].sort(byUse).map((seat) => ({ role, seat }));
    const agent = agents.find((each) => each.role === role);
    return agent ? [{ role, seat: null, agent }] : [];
  });
}

/** Those at work first; otherwise by task and seat, so that none moves about. */
function byUse(a: Seat, b: Seat): number {
  const rest = (seat: Seat) => (['parked', 'idle'].includes(seat.state) ? 1 : 0);
  const task = a.task_name.localeCompare(b.task_name, 'en', { numeric: true });
  return rest(a) - rest(b) || task || a.seat.localeCompare(b.seat, 'en', { numeric: true });
}

/** Nothing tells that nothing happened: of a seat that is silent for so long one has to ask. */
export const SILENT_MS = 60_000;

export const isSilent = (seat: Seat, pulse: Pulse | undefined, now: number) => {
  const { heardAt } = doing(seat, pulse);
  return isBusy(seat) && heardAt !== null && now - Date.parse(heardAt) > SILENT_MS;
};
