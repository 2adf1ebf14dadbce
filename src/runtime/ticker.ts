import { performance } from 'node:perf_hooks';

type Listener = (nowMs: number) => void;

/** The timer of tickers that tick together: it has the shortest of their intervals, and the others tick with every nth beat. */
class Beat {
  readonly #tickers = new Set<Ticker>();
  #intervalMs = Infinity;
  #timer: NodeJS.Timeout | undefined;

  add(ticker: Ticker): void {
    this.#tickers.add(ticker);
    this.#adapt();
  }

  remove(ticker: Ticker): void {
    this.#tickers.delete(ticker);
    this.#adapt();
  }

  #adapt(): void {
    const intervalMs = Math.min(...[...this.#tickers].map((ticker) => ticker.intervalMs));
    if (intervalMs === this.#intervalMs) return;
    this.#intervalMs = intervalMs;
    clearInterval(this.#timer);
    this.#timer = intervalMs < Infinity ? setInterval(() => this.#beat(), intervalMs) : undefined;
  }

  #beat(): void {
    const nowMs = performance.now();
    for (const ticker of this.#tickers) ticker.beat(nowMs, this.#intervalMs);
  }
}

/**
 * One timer for all periodic work: separate timers, started at different moments, would wake the process once for each
 * stream, and once for each interval.
 */
export class Ticker {
  static readonly #shared = new Map<number, Ticker>();
  static readonly #sharedBeat = new Beat();
  readonly intervalMs: number;
  readonly #beat: Beat;
  readonly #listeners = new Set<Listener>();
  #dueMs = 0;

  constructor(intervalMs: number, beat = new Beat()) {
    this.intervalMs = intervalMs;
    this.#beat = beat;
  }

  /** The ticker of this interval that everybody shares. All of them tick together. */
  static every(intervalMs: number): Ticker {
    let ticker = Ticker.#shared.get(intervalMs);
    if (!ticker) Ticker.#shared.set(intervalMs, (ticker = new Ticker(intervalMs, Ticker.#sharedBeat)));
    return ticker;
  }

  /**
   * Runs `listener` at every tick, with the time of `performance.now()`. Ticks are early or late by half of the shortest
   * interval at most, and do not drift. Returns a function that stops it. The timer runs only while there are listeners.
   */
  listen(listener: Listener): () => void {
    if (this.#listeners.size === 0) {
      this.#dueMs = performance.now() + this.intervalMs;
      this.#beat.add(this);
    }
    this.#listeners.add(listener);
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#beat.remove(this);
    };
  }

  /** @param beatMs from one beat to the next */
  beat(nowMs: number, beatMs: number): void {
    if (nowMs < this.#dueMs - beatMs / 2) return;
    // Ticks that were missed are not made up for.
    this.#dueMs = Math.max(this.#dueMs + this.intervalMs, nowMs + this.intervalMs / 2);
    for (const listener of this.#listeners) listener(nowMs);
  }
}
