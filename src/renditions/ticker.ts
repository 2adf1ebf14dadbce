import { performance } from 'node:perf_hooks';

/**
 * One timer for everything that is looked after regularly: timers of their own, started at different moments, would wake the process once for
 * each stream.
 */
export class Ticker {
  readonly #intervalMs: number;
  readonly #listeners = new Set<(nowMs: number) => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** Runs `listener` at every tick, with the time of `performance.now()`; returns how to stop. The timer runs only while somebody listens. */
  listen(listener: (nowMs: number) => void): () => void {
    this.#listeners.add(listener);
    this.#timer ??= setInterval(() => {
      const nowMs = performance.now();
      for (const each of this.#listeners) each(nowMs);
    }, this.#intervalMs);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }
}
