/** Does something when asked to, but not too often. */
export interface Sparing {
  ask(): void;
  stop(): void;
}

/** Acts at once when the last time was long enough ago, else as soon as it is, once for all. */
export function atMostEvery(ms: number, act: () => void | Promise<void>): Sparing {
  let last = Number.NEGATIVE_INFINITY;
  let busy = false;
  let again = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const run = async () => {
    timer = undefined;
    last = Date.now();
    busy = true;
    try {
      await act();
    } finally {
      busy = false;
    }
    // What was asked for meanwhile may be newer than what was just read.
    if (again) ask();
  };
  const ask = () => {
    again = busy;
    if (timer !== undefined || busy) return;
    const wait = last + ms - Date.now();
    if (wait <= 0) void run();
    else timer = setTimeout(run, wait);
  };
  return {
    ask,
    stop() {
      again = false;
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
