// @vitest-environment jsdom
import { act, cleanup, render, screen } from '@testing-library/react';
import { createElement } from 'react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { useCountdown } from './clock';

const start = Date.parse('2026-01-01T10:00:00Z');
let drawn = 0;
function Countdown({ until }: { until: string }) {
  drawn += 1;
  return createElement('p', null, useCountdown(until));
}
const countTo = (seconds: number) => {
  const until = new Date(start + seconds * 1000).toISOString();
  render(createElement(Countdown, { until }));
};
const pass = (seconds: number) => act(() => vi.advanceTimersByTime(seconds * 1000));
const hide = (hidden: boolean) => {
  vi.spyOn(document, 'hidden', 'get').mockReturnValue(hidden);
  act(() => document.dispatchEvent(new Event('visibilitychange')));
};

beforeEach(() => {
  drawn = 0;
  vi.useFakeTimers({ now: start });
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

it('counts down, by the minute and then by the second', () => {
  countTo(72 * 60);
  expect(screen.getByText('in 1 h 12 min')).toBeTruthy();
  pass(60);
  expect(screen.getByText('in 1 h 11 min')).toBeTruthy();
  pass(70 * 60 + 30);
  expect(screen.getByText('in 30 s')).toBeTruthy();
  pass(31);
  expect(screen.getByText('at any moment')).toBeTruthy();
});

it('is drawn again only when its words change', () => {
  countTo(72 * 60);
  const before = drawn;
  pass(59);
  expect(drawn).toBe(before);
  pass(1);
  expect(drawn).toBe(before + 1);
});

it('rests while nobody sees the page, and is right when it is seen again', () => {
  countTo(600);
  expect(vi.getTimerCount()).toBe(1);
  hide(true);
  expect(vi.getTimerCount()).toBe(0);
  vi.setSystemTime(start + 300_000);
  hide(false);
  expect(screen.getByText('in 5 min')).toBeTruthy();
  expect(vi.getTimerCount()).toBe(1);
});

it('needs no timer when nothing counts', () => {
  countTo(600);
  cleanup();
  expect(vi.getTimerCount()).toBe(0);
});
