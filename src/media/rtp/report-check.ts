/** A wall clock that moves by this much between two reports, besides the time that passes, is set or wrong. */
const WRONG_CLOCK_MS = 500;
/** A report whose timestamp is so long before, or after, those of the packets is not about them. */
const BEHIND_MEDIA_MS = 1500;
const AHEAD_OF_MEDIA_MS = 10_000;
/** A clock is set now and then. Reports that are wrong so often in a row, or nearly, are of no use. */
const MOST_WRONG = 2;
/** So many right ones make up for a wrong one. */
const RIGHT_FOR_WRONG = 2;

/**
 * Whether the sender reports of a track can be believed. Some senders have no wall clock (RFC 3550, 6.4.1: the time is 0
 * then), repeat the time or the timestamp of their start, or count something else.
 */
export class ReportCheck {
  #last: { readonly ntpMs: number; readonly atMs: number } | undefined;
  #wrong = 0;
  #areUseless = false;

  get areUseless(): boolean {
    return this.#areUseless;
  }

  /** Judges a report, which comes at `nowMs`, and is `behindMs` before the latest media. @returns whether it can be used */
  take(ntpMs: number, nowMs: number, behindMs: number): boolean {
    if (ntpMs === 0) return false;
    const isAbout = behindMs <= BEHIND_MEDIA_MS && behindMs >= -AHEAD_OF_MEDIA_MS;
    const isRight = this.#clockRuns(ntpMs, nowMs) && isAbout;
    this.#wrong = Math.max(0, Math.min(this.#wrong + (isRight ? -1 / RIGHT_FOR_WRONG : 1), 2 * MOST_WRONG));
    if (this.#wrong >= MOST_WRONG) this.#areUseless = true;
    else if (this.#wrong === 0) this.#areUseless = false;
    return !this.#areUseless && isAbout;
  }

  #clockRuns(ntpMs: number, nowMs: number): boolean {
    const last = this.#last;
    this.#last = { ntpMs, atMs: nowMs };
    if (!last) return true;
    const elapsedMs = nowMs - last.atMs;
    return Math.abs(ntpMs - last.ntpMs - elapsedMs) <= Math.max(WRONG_CLOCK_MS, elapsedMs / 2);
  }
}
