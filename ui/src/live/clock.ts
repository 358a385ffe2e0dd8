/** One ticking clock for every elapsed time on the page, so that a hundred cards share a timer. */
import { useSyncExternalStore } from 'react';
import { remaining } from '../parts/format';

let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function tick() {
  now = Date.now();
  for (const each of listeners) each();
}

/** Nobody sees a page that is hidden, so its clock rests; it is right again before it is seen. */
function wind() {
  const needed = listeners.size > 0 && !(typeof document !== 'undefined' && document.hidden);
  if (needed && timer === undefined) {
    timer = setInterval(tick, 1000);
  } else if (!needed && timer !== undefined) {
    clearInterval(timer);
    timer = undefined;
  }
}

function shown() {
  if (!document.hidden) tick();
  wind();
}

function listen(listener: () => void): () => void {
  if (listeners.size === 0) {
    now = Date.now();
    if (typeof document !== 'undefined') document.addEventListener('visibilitychange', shown);
  }
  listeners.add(listener);
  wind();
  return () => {
    listeners.delete(listener);
    wind();
    if (listeners.size === 0 && typeof document !== 'undefined') {
      document.removeEventListener('visibilitychange', shown);
    }
  };
}

/**
 * The time, rounded down to `step` milliseconds, so that a reader is drawn again only when its
 * own text can have changed.
 */
export function useNow(step = 1000): number {
  return useSyncExternalStore(
    listen,
    () => Math.floor(now / step) * step,
    () => now,
  );
}

/** How long it is until then, in words that are drawn again only when they change. */
export function useCountdown(until: string): string {
  return useSyncExternalStore(
    listen,
    () => remaining(until, now),
    () => remaining(until, now),
  );
}
