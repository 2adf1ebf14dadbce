import type { Clock } from '../../src/runtime/clock.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Simulated time. */
export class FakeClock implements Clock {
  #nowMs = 1_000_000;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  date(): number {
    return this.#nowMs;
  }

  get timers(): number {
    return this.#timers.size;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    while (this.#runNext(endMs));
    this.#nowMs = endMs;
  }

  /** As {@link pass}, for code that awaits promises between its timers. */
  async passSettled(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    do await settled();
    while (this.#runNext(endMs));
    this.#nowMs = endMs;
  }

  #runNext(endMs: number): boolean {
    const [next] = [...this.#timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
    if (!next) return false;
    this.#timers.delete(next);
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.run();
    return true;
  }
}
