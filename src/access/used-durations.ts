/** Tokens that are remembered; the oldest are dropped. */
const MAX_TOKENS = 100_000;

/** When publishing with a token must end: `maxDuration` counts from its first use, so that a token cannot be used again and again. */
export class UsedDurations {
  readonly #ends = new Map<string, { readonly endsAt: number; readonly expiresAt: number }>();

  /** @returns milliseconds since 1970, the same for every use of a token */
  end(token: string, durationMs: number, expiresAt: number, now = Date.now()): number {
    const known = this.#ends.get(token);
    if (known) return known.endsAt;
    for (const [oldest, { expiresAt: until }] of this.#ends) {
      if (until > now && this.#ends.size < MAX_TOKENS) break;
      this.#ends.delete(oldest);
    }
    const endsAt = now + durationMs;
    this.#ends.set(token, { endsAt, expiresAt });
    return endsAt;
  }
}
