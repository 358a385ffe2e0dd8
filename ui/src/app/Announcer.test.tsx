// @vitest-environment jsdom
import { act, cleanup, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { card } from '../../dev/world';
import type { TaskCard } from '../api/types';
import { nothing, useLive } from '../live/store';
import { Announcer, CALM_EVERY_MS } from './Announcer';

const at = (id: string, steps_done: number, part: Partial<TaskCard> = {}) =>
  card({
    id,
    name: id,
    state: 'working',
    progress: { steps_done, steps: 8, share: steps_done / 8 },
    ...part,
  });
const now = (...all: TaskCard[]) =>
  act(() => useLive.setState({ cards: Object.fromEntries(all.map((each) => [each.id, each])) }));
const said = () => screen.getByTestId('said').textContent;
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  useLive.setState({ ...nothing, loaded: true }, true);
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

it('says one line at most in ten seconds, and then the latest', async () => {
  now(at('T-1', 0));
  render(<Announcer />);
  now(at('T-1', 1));
  expect(said()).toBe('T-1: 1 of 8 steps are done');
  await pass(1_000);
  now(at('T-1', 2));
  await pass(1_000);
  now(at('T-1', 3));
  await pass(CALM_EVERY_MS - 2_001);
  expect(said()).toBe('T-1: 1 of 8 steps are done');
  await pass(1);
  expect(said()).toBe('T-1: 3 of 8 steps are done');
});

it('does not lose the end of a task to the progress of another', async () => {
  now(at('T-1', 0), at('T-2', 7));
  render(<Announcer />);
  now(at('T-1', 1), at('T-2', 7));
  await pass(1_000);
  now(at('T-1', 1), at('T-2', 8, { state: 'review' }));
  now(at('T-1', 2), at('T-2', 8, { state: 'review' }));
  await pass(CALM_EVERY_MS);
  expect(said()).toBe('T-2 is ready for your review');
});

it('says a question at once, whatever was said before', () => {
  now(at('T-1', 0));
  render(<Announcer />);
  now(at('T-1', 1));
  const question = {
    id: 'q',
    text: 'Code wants to run: make',
    kind: 'tool',
  } as TaskCard['question'];
  now(at('T-1', 1, { state: 'needs_you', question }));
  expect(screen.getByTestId('said-at-once').textContent).toBe(
    'T-1 needs you: Code wants to run: make',
  );
});
