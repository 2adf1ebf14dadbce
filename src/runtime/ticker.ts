import { performance } from 'node:perf_hooks';

/**
 * One timer for all periodic work: separate timers, started at different moments, would wake the process once for each
 * stream.
 */
export class Ticker {
  static readonly #shared = new Map<number, Ticker>();
  readonly #intervalMs: number;
  readonly #listeners = new Set<(nowMs: number) => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** The ticker of this interval that everybody shares. */
  static every(intervalMs: number): Ticker {
    let ticker = Ticker.#shared.get(intervalMs);
    if (!ticker) Ticker.#shared.set(intervalMs, (ticker = new Ticker(intervalMs)));
    return ticker;
  }

  /**
   * Runs `listener` at every tick, with the time of `performance.now()`. Returns a function that stops it. The timer
   * runs only while there are listeners.
   */
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
