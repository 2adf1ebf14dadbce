export interface TokenBucketOptions {
  /** Most tokens at once. */
  readonly burst: number;
  /** Tokens that come back per second. */
  readonly perSecond: number;
}

/** A rate limit that forgives bursts. Time is handed in. */
export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #tokens: number;
  #at: number | undefined;

  constructor(options: TokenBucketOptions) {
    this.#options = options;
    this.#tokens = options.burst;
  }

  /** Takes one token; false when there is none. `nowMs` never goes back. */
  take(nowMs: number): boolean {
    const elapsed = nowMs - (this.#at ?? nowMs);
    this.#at = nowMs;
    this.#tokens = Math.min(this.#options.burst, this.#tokens + (elapsed / 1000) * this.#options.perSecond);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
