/**
 * Counts the frames that a track lost while it was paused, by its RTP timestamps: the interval of its last frames shows
 * how many would have fitted into the gap. Exact for a steady frame rate.
 */
export class MissedFrames {
  #last: number | undefined;
  /** Between the last two frames, in units of the RTP clock. */
  #interval = 0;
  #paused = false;

  pause(): void {
    this.#paused = true;
  }

  /** Returns the number of frames that are missing before this packet: 0 except for the first one after a pause. */
  packet(timestamp: number): number {
    const passed = this.#last === undefined ? 0 : (timestamp - this.#last) | 0;
    // The same frame, or a packet out of order.
    if (passed <= 0 && this.#last !== undefined) return 0;
    this.#last = timestamp;
    if (!this.#paused) {
      this.#interval = passed;
      return 0;
    }
    this.#paused = false;
    return this.#interval > 0 ? Math.max(0, Math.round(passed / this.#interval) - 1) : 0;
  }
}
