import { expect, it } from 'vitest';
import { card } from '../../dev/world';
import type { Pause, TaskState } from '../api/types';
import { arrange, type Column, columnOf, moveTo } from './columns';

it.each<[TaskState, Column | null]>([
  ['backlog', 'backlog'],
  ['planning', 'working'],
  ['working', 'working'],
  ['needs_you', 'needs_you'],
  ['review', 'review'],
  ['done', 'done'],
  ['paused', 'backlog'],
  ['failed', 'needs_you'],
  ['cancelled', null],
])('puts a task that is %s into %s', (state, column) => {
  expect(columnOf(card({ state }))).toBe(column);
});

it.each<[Pause, Column]>([
  ['person', 'backlog'],
  ['budget', 'needs_you'],
  ['tokens', 'needs_you'],
  ['time', 'needs_you'],
  ['turns', 'needs_you'],
  ['day', 'needs_you'],
  ['unsure', 'needs_you'],
])('puts a task that is paused for %s into %s', (paused, column) => {
  expect(columnOf(card({ state: 'paused', paused }))).toBe(column);
});

it.each<[TaskState, Column, string]>([
  ['backlog', 'working', 'start'],
  ['paused', 'working', 'resume'],
  ['working', 'backlog', 'pause'],
  ['review', 'working', 'request_changes'],
  ['review', 'done', 'accept'],
])('reads a drag of a %s task to %s as %s', (state, to, action) => {
  expect(moveTo(card({ state }), to)).toEqual({ does: action });
});

it.each<[TaskState, Column]>([
  ['working', 'needs_you'],
  ['working', 'review'],
  ['working', 'done'],
  ['done', 'working'],
  ['done', 'backlog'],
])('refuses a drag of a %s task to %s, with a reason', (state, to) => {
  expect(moveTo(card({ state }), to)).toHaveProperty('refused');
});

it('gives only commands that the server allows now', () => {
  expect(moveTo(card({ state: 'review', actions: [] }), 'done')).toHaveProperty('refused');
});

it('keeps the order of a column while its cards change', () => {
  const old = card({ id: 'old', state: 'working', created_at: '2026-01-01T10:00:00Z' });
  const young = card({ id: 'young', state: 'working', created_at: '2026-01-01T11:00:00Z' });
  const ids = (cards: (typeof old)[]) => arrange(cards).working.map((each) => each.id);
  expect(ids([old, young])).toEqual(['young', 'old']);
  expect(ids([{ ...old, updated_at: '2027-01-01T00:00:00Z' }, young])).toEqual(['young', 'old']);
});

it('shows who waits longest first', () => {
  const asked = (id: string, at: string) =>
    card({
      id,
      state: 'needs_you',
      question: {
        id,
        task_id: id,
        role: 'aria',
        asked_at: at,
        kind: 'open',
        text: '',
        detail: '',
        why: '',
        options: [],
        digest: '',
        waiting: true,
      },
    });
  const cards = [asked('b', '2026-01-01T10:05:00Z'), asked('a', '2026-01-01T10:00:00Z')];
  expect(arrange(cards).needs_you.map((each) => each.id)).toEqual(['a', 'b']);
});
