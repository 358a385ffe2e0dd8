import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { atMostEvery } from './sparingly';

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

it('acts at once, and then once for all that was asked meanwhile', async () => {
  const act = vi.fn();
  const sparing = atMostEvery(10_000, act);
  sparing.ask();
  expect(act).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(1_000);
  for (let n = 0; n < 50; n += 1) sparing.ask();
  await vi.advanceTimersByTimeAsync(8_999);
  expect(act).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(act).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(act).toHaveBeenCalledTimes(2);
});

it('acts once more for what was asked while it was at it', async () => {
  let finish = () => {};
  const act = vi.fn(
    () =>
      new Promise<void>((done) => {
        finish = done;
      }),
  );
  const sparing = atMostEvery(1_000, act);
  sparing.ask();
  sparing.ask();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(act).toHaveBeenCalledTimes(1);
  finish();
  await vi.advanceTimersByTimeAsync(0);
  expect(act).toHaveBeenCalledTimes(2);
});

it('does nothing any more when it was stopped', async () => {
  const act = vi.fn();
  const sparing = atMostEvery(10_000, act);
  sparing.ask();
  await vi.advanceTimersByTimeAsync(1);
  sparing.ask();
  sparing.stop();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(act).toHaveBeenCalledTimes(1);
});
