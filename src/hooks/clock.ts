import { wallClockMs } from '../runtime/wall-clock.ts';

/** Time, replaced in tests. */
export interface Clock {
  /** Milliseconds of a clock that does not step. */
  now(): number;
  /** Milliseconds since 1970. */
  date(): number;
  /** Calls `run` once. Returns a function that cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** The longest delay of a Node timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  date: wallClockMs,
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(ms, 0), MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
};
