import { expect, it } from 'vitest';
import { World } from '../../dev/world';
import type { Seat } from '../api/types';
import { doing, heardWords, isSilent, SILENT_MS, shown, stateOf } from './seats';

const at = '2026-01-01T10:00:00Z';
const later = '2026-01-01T10:00:07Z';
const seat = (part: Partial<Seat> = {}): Seat => ({
  seat: 'code-2',
  title: 'Code 2',
  role: 'code',
  task_id: 'a',
  task_name: 'T-1',
  state: 'tool',
  tool: 'Edit',
  object: 'src/a.rs',
  heard_at: at,
  stalled: false,
  tokens: 0,
  lane: true,
  ...part,
});

it('says what a seat does as it was read, until the stream is newer', () => {
  const read = { state: 'tool', text: 'Edit src/a.rs', heardAt: at };
  expect(doing(seat(), undefined)).toEqual(read);
  expect(doing(seat(), { at: '2026-01-01T09:59:59Z', text: 'Read b' })).toEqual(read);
  expect(doing(seat(), { at: later, text: 'Run cargo test' })).toEqual({
    state: 'tool',
    text: 'Run cargo test',
    heardAt: later,
  });
  expect(doing(seat(), { at: later, text: null })).toMatchObject({ state: 'thinking', text: null });
});

it('does not call a seat that was told to stop, or waits for the person, anything else', () => {
  for (const state of ['stopping', 'needs_you', 'parked']) {
    expect(doing(seat({ state, tool: null }), { at: later, text: 'Edit b' })).toEqual({
      state,
      text: null,
      heardAt: later,
    });
  }
});

it.each([
  [0, 'heard just now'],
  [3, 'heard 3 s ago'],
  [75, 'heard 1 min ago'],
])('counts %i seconds of silence: %s', (seconds, words) => {
  expect(heardWords(at, Date.parse(at) + seconds * 1000)).toBe(words);
});

it('says of a program that has not spoken that nothing was heard', () => {
  expect(heardWords(null, 0)).toBe('nothing heard yet');
});

it('asks again only of a seat that is at work and silent', () => {
  const now = Date.parse(at) + SILENT_MS + 1;
  expect(isSilent(seat(), undefined, now)).toBe(true);
  expect(isSilent(seat(), { at: later, text: null }, now)).toBe(false);
  expect(isSilent(seat({ state: 'parked' }), undefined, now)).toBe(false);
});

it('shows each seat of a role, those at work first, and an empty one where there is none', () => {
  const world = new World();
  const all = shown(world.board().agents, world.team());
  const titles = all.map((each) => (each.seat ? each.seat.title : `no ${each.role}`));
  expect(titles[0]).toBe('no prime');
  expect(titles.filter((title) => title.startsWith('Code'))).toEqual([
    'Code',
    'Code',
    'Code 2',
    'Code 3',
  ]);
  expect(titles).toContain('no alpha');
  const arias = all.flatMap((each) => (each.seat?.role === 'aria' ? [each.seat] : []));
  expect(arias.at(-1)?.state).toBe('parked');
});

it('shows a state it does not know as it came', () => {
  expect(stateOf('tool').word).toBe('using a tool');
  expect(stateOf('waiting_for_lock')).toEqual({ word: 'waiting for lock', glyph: '○' });
});
