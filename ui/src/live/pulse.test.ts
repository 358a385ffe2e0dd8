import { expect, it } from 'vitest';
import { card } from '../../dev/world';
import type { TimelineItem } from '../api/types';
import { afterFact, isFresh, THOUGHT_FRESH_MS, THOUGHT_KEPT, withLines, withWords } from './pulse';

const line = (part: Partial<TimelineItem>): TimelineItem => ({
  id: 't4.1',
  at: '2026-01-01T10:00:00Z',
  kind: 'tool_started',
  text: 'Edit src/a.rs',
  turn: 4,
  ...part,
});
const heard = (...items: TimelineItem[]) => withLines({}, 'a', items);

it('keeps two turns of a task apart', () => {
  const pulses = heard(line({}), line({ turn: 5, text: 'Run cargo test' }));
  expect(pulses.a?.[4]?.text).toBe('Edit src/a.rs');
  expect(pulses.a?.[5]?.text).toBe('Run cargo test');
});

it('hears words too, without forgetting the tool in use, until that has ended', () => {
  const later = '2026-01-01T10:00:09Z';
  const writing = withLines(heard(line({})), 'a', [line({ kind: 'text_delta', at: later })]);
  expect(writing.a?.[4]).toEqual({ at: later, text: 'Edit src/a.rs' });
  expect(withLines(writing, 'a', [line({ kind: 'tool_ended' })]).a?.[4]?.text).toBeNull();
});

it('leaves lines of no turn alone', () => {
  expect(heard(line({ turn: null })).a).toEqual({});
});

it('forgets a turn that has ended, and all of a task at rest', () => {
  const pulses = heard(line({}), line({ turn: 5 }));
  const works = card({ id: 'a', state: 'working' });
  const ended = afterFact(pulses, works, line({ kind: 'fact', ok: true }));
  expect(Object.keys(ended.a ?? {})).toEqual(['5']);
  expect(afterFact(pulses, works, line({ kind: 'fact', ok: null }))).toBe(pulses);
  const done = card({ id: 'a', state: 'review' });
  expect(afterFact(pulses, done, line({ kind: 'fact' }))).toEqual({});
});

it('keeps the end of what Prime says, and begins anew after a silence', () => {
  const first = withWords(undefined, 'Two steps ', 1_000);
  const second = withWords(first, 'can go side by side', 2_000);
  expect(second.text).toBe('Two steps can go side by side');
  expect(withWords(second, 'Next', 2_000 + THOUGHT_FRESH_MS).text).toBe('Next');
  const long = withWords(second, 'x'.repeat(THOUGHT_KEPT), 3_000);
  expect(long.text).toHaveLength(THOUGHT_KEPT);
  expect(isFresh(long, 3_000 + THOUGHT_FRESH_MS - 1)).toBe(true);
  expect(isFresh(long, 3_000 + THOUGHT_FRESH_MS)).toBe(false);
});
