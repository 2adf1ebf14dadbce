import { monotonicMsOf } from '../runtime/wall-clock.ts';

/** Tokens that are remembered; the oldest are dropped. */
const MAX_TOKENS = 100_000;

/** When publishing with a token must end: `maxDuration` counts from its first use, so that a token cannot be used again and again. */
export class UsedDurations {
  /** In milliseconds of `performance.now()`. */
  readonly #ends = new Map<string, { readonly endsMs: number; readonly expiresMs: number }>();

  /**
   * @param expiresAt milliseconds since 1970
   * @returns milliseconds until the end, counted from the first use of the token
   */
  left(token: string, durationMs: number, expiresAt: number, nowMs = performance.now()): number {
    const known = this.#ends.get(token);
    if (known) return known.endsMs - nowMs;
    for (const [oldest, { expiresMs }] of this.#ends) {
      if (expiresMs > nowMs && this.#ends.size < MAX_TOKENS) break;
      this.#ends.delete(oldest);
    }
    this.#ends.set(token, { endsMs: nowMs + durationMs, expiresMs: monotonicMsOf(expiresAt) });
    return durationMs;
  }
}
