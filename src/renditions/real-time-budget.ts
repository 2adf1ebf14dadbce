/** Audio that may come at once beyond real time, in milliseconds: what a stalled network or event loop held back. */
export const BURST_MS = 8000;
/** How much faster than ours a sender's clock may run. */
const RATE = 1.02;

/**
 * Limits the audio of one stream to real time, with a burst. What a packet claims to hold costs nothing to send: five
 * bytes of Opus claim 120 ms, and a hole in the timestamps claims its whole length.
 */
export class RealTimeBudget {
  #leftMs = BURST_MS;
  #lastMs: number | undefined;

  /**
   * Takes audio from the budget, or nothing when it does not suffice.
   *
   * @param audioMs milliseconds of audio
   * @param nowMs milliseconds of a clock that does not step
   * @returns whether the audio may be encoded
   */
  take(audioMs: number, nowMs: number): boolean {
    const elapsedMs = Math.max(0, nowMs - (this.#lastMs ?? nowMs));
    this.#lastMs = nowMs;
    this.#leftMs = Math.min(BURST_MS, this.#leftMs + elapsedMs * RATE);
    if (audioMs > this.#leftMs) return false;
    this.#leftMs -= audioMs;
    return true;
  }
}
