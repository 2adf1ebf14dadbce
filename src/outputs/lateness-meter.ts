/**
 * How fast the healthy delay may grow, as a share of the time: a publisher's clock may run slower than ours. Clocks
 * differ by up to 0.0002; more than that costs nothing here, because 1 s of lateness would take 33 minutes to be
 * mistaken for normal.
 */
const MAX_DRIFT = 0.0005;

/**
 * By how much the media of one rendition is late: how far stream time is behind the wall clock, compared with the
 * smallest distance seen so far, which includes the delay that belongs to the stream (encoders, jitter buffers). Pure;
 * times are milliseconds.
 */
export class LatenessMeter {
  #baselineMs = Infinity;
  #updatedMs = 0;

  /** Notes the stream time of media that is sent now. @returns the lateness, never negative */
  update(streamMs: number, nowMs: number): number {
    const behindMs = nowMs - streamMs;
    this.#baselineMs = Math.min(behindMs, this.#baselineMs + (nowMs - this.#updatedMs) * MAX_DRIFT);
    this.#updatedMs = nowMs;
    return behindMs - this.#baselineMs;
  }

  /** The next value is normal, whatever it is. */
  reset(): void {
    this.#baselineMs = Infinity;
  }
}
