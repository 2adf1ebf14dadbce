import { inBackground } from './in-background.ts';
import { wallClockMs } from './wall-clock.ts';

/** Time, replaced in tests. */
export interface Clock {
  /** Milliseconds of a clock that does not step. */
  now(): number;
  /** Milliseconds since 1970. */
  date(): number;
  /** Calls `run` once. Returns a function that cancels it. An exception in `run` is reported and ends nothing. */
  after(ms: number, run: () => void): () => void;
}

/** The longest delay of a Node timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  date: wallClockMs,
  after(ms, run) {
    const timer = setTimeout(() => inBackground(runAsync(run)), Math.min(Math.max(ms, 0), MAX_TIMER_MS)).unref();
    return () => clearTimeout(timer);
  },
};

async function runAsync(run: () => void): Promise<void> {
  run();
}

/** Resolves after `ms`, or when the signal aborts. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(ms, end);
    signal.addEventListener('abort', end);
  });
}

/** One timer that can be set again. */
export class Timer {
  readonly #clock: Clock;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Replaces what was set before. */
  set(ms: number, run: () => void): void {
    this.clear();
    this.#cancel = this.#clock.after(ms, () => {
      this.#cancel = undefined;
      run();
    });
  }

  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
