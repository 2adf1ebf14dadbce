export interface TokenBucketOptions {
  /** Maximum number of tokens. */
  readonly burst: number;
  /** Tokens added per second. */
  readonly perSecond: number;
}

/** A rate limit that allows bursts. The caller passes the time. */
export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #tokens: number;
  #at: number | undefined;

  constructor(options: TokenBucketOptions) {
    this.#options = options;
    this.#tokens = options.burst;
  }

  /** Takes tokens; returns false, and takes none, when there are fewer. `nowMs` must not decrease. */
  take(nowMs: number, tokens = 1): boolean {
    const elapsed = nowMs - (this.#at ?? nowMs);
    this.#at = nowMs;
    this.#tokens = Math.min(this.#options.burst, this.#tokens + (elapsed / 1000) * this.#options.perSecond);
    if (this.#tokens < tokens) return false;
    this.#tokens -= tokens;
    return true;
  }
}
