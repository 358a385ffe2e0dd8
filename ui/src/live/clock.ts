/** One ticking clock for every elapsed time on the page, so that a hundred cards share a timer. */
import { useSyncExternalStore } from 'react';

let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function listen(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
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
