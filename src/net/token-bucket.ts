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
    this.#refill(nowMs);
    if (this.#tokens < tokens) return false;
    this.#tokens -= tokens;
    return true;
  }

  /** Takes tokens that may not be there yet; returns the milliseconds until they are. */
  borrow(nowMs: number, tokens: number): number {
    this.#refill(nowMs);
    this.#tokens -= tokens;
    return Math.max(0, (-this.#tokens / this.#options.perSecond) * 1000);
  }

  #refill(nowMs: number): void {
    const { burst, perSecond } = this.#options;
    const elapsed = nowMs - (this.#at ?? nowMs);
    this.#at = nowMs;
    this.#tokens = Math.min(burst, this.#tokens + (elapsed / 1000) * perSecond);
  }
}
