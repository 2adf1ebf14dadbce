import { setTimeout as sleep } from 'node:timers/promises';

/** Bytes that may pass at once after a time without any, in milliseconds of the rate. */
const BURST_MS = 100;

/** Limits the bytes per second of everything that shares it. */
export class Throttle {
  readonly #bytesPerMs: number;
  readonly #now: () => number;
  /** When the bytes that were taken so far have passed. */
  #freeAt = 0;

  /** @param bitsPerSecond 0: no limit */
  constructor(bitsPerSecond: number, now: () => number = () => performance.now()) {
    this.#bytesPerMs = bitsPerSecond / 8000;
    this.#now = now;
  }

  /** Milliseconds to wait before these bytes may pass. They count at once. */
  take(bytes: number): number {
    if (this.#bytesPerMs === 0) return 0;
    const now = this.#now();
    this.#freeAt = Math.max(this.#freeAt, now - BURST_MS) + bytes / this.#bytesPerMs;
    return Math.max(0, this.#freeAt - now);
  }

  /** @throws the reason of `signal` */
  async wait(bytes: number, signal: AbortSignal): Promise<void> {
    const ms = this.take(bytes);
    if (ms > 0) await sleep(ms, undefined, { signal });
  }
}
