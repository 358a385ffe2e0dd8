import { expect, it } from 'vitest';
import { ago, duration, elapsed, plural, remaining, tokens, usd } from './format';

it.each([
  [0, '0 tok'],
  [999, '999 tok'],
  [9_100, '9.1k tok'],
  [118_200, '118k tok'],
  [1_250_000, '1.3M tok'],
])('writes %i tokens as %s', (count, text) => expect(tokens(count)).toBe(text));

it('keeps an unknown cost apart from no cost', () => {
  expect(usd(null)).toBe('cost not known');
  expect(usd(0)).toBe('$0.00');
  expect(usd(1.925)).toBe('$1.93');
  expect(usd(1.925, true)).toBe('≥ $1.93');
  expect(usd(null, true)).toBe('cost not known');
});

it.each([
  [0, '0 s'],
  [240, '0.2 s'],
  [12_400, '12 s'],
  [59_000, '59 s'],
  [60_000, '1 min'],
  [14 * 60_000 + 59_000, '14 min'],
  [3 * 3_600_000 + 5 * 60_000, '3 h 5 min'],
  [2 * 3_600_000, '2 h'],
  [24 * 3_600_000, '1 day'],
  [50 * 3_600_000, '2 days'],
])('writes %i ms as %s', (ms, text) => expect(duration(ms)).toBe(text));

it('counts from the start to the end, or to now', () => {
  const now = Date.parse('2026-01-01T10:10:00Z');
  expect(elapsed('2026-01-01T10:00:00Z', null, now)).toBe('10 min');
  expect(elapsed('2026-01-01T10:00:00Z', '2026-01-01T10:04:00Z', now)).toBe('4 min');
  expect(elapsed('2026-01-01T10:20:00Z', null, now)).toBe('0 s');
});

it('says how long ago', () => {
  const now = Date.parse('2026-01-01T10:10:00Z');
  expect(ago('2026-01-01T10:09:58Z', now)).toBe('just now');
  expect(ago('2026-01-01T10:09:00Z', now)).toBe('1 min ago');
});

it('counts things', () => {
  expect(plural(1, 'file')).toBe('1 file');
  expect(plural(0, 'query', 'queries')).toBe('0 queries');
});

it.each([
  [-1, 'at any moment'],
  [0, 'at any moment'],
  [0.2, 'in 1 s'],
  [59, 'in 59 s'],
  [60, 'in 1 min'],
  [61, 'in 2 min'],
  [59 * 60 + 1, 'in 1 h'],
  [71 * 60 + 30, 'in 1 h 12 min'],
  [50 * 3600, 'in 3 days'],
])('says how long %d s are still, never too short', (seconds, text) => {
  const now = Date.parse('2026-01-01T10:00:00Z');
  expect(remaining(new Date(now + seconds * 1000).toISOString(), now)).toBe(text);
});
