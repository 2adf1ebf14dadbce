import { setTimeout as sleep } from 'node:timers/promises';
import { TokenBucket } from '../../../net/token-bucket.ts';

/** Bytes that may pass at once after a time without any, in milliseconds of the rate. */
const BURST_MS = 100;

/** Limits the bytes per second of everything that shares it. */
export class Throttle {
  /** Of bytes. */
  readonly #bucket: TokenBucket | undefined;
  readonly #now: () => number;

  /** @param bitsPerSecond 0: no limit */
  constructor(bitsPerSecond: number, now: () => number = () => performance.now()) {
    const perSecond = bitsPerSecond / 8;
    if (perSecond > 0) this.#bucket = new TokenBucket({ perSecond, burst: (perSecond * BURST_MS) / 1000 });
    this.#now = now;
  }

  /** Milliseconds to wait before these bytes may pass. They count at once. */
  take(bytes: number): number {
    return this.#bucket?.borrow(this.#now(), bytes) ?? 0;
  }

  /** @throws the reason of `signal` */
  async wait(bytes: number, signal: AbortSignal): Promise<void> {
    const ms = this.take(bytes);
    if (ms > 0) await sleep(ms, undefined, { signal });
  }
}
