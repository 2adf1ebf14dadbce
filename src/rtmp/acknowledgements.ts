/** Sequence numbers are 32 bits wide (RTMP 1.0, 5.4.3). */
const SEQUENCE_RANGE = 2 ** 32;
/**
 * A count that starts again below this is not a running total: known servers wrap at 2^32, or at 0xf0000000
 * (nginx-rtmp).
 */
const LEAST_WRAP = 2 ** 31;

/** The number of bytes that a peer acknowledges. */
export class Acknowledgements {
  #known = false;
  #acknowledged = 0;
  #lastSequence = 0;
  #longestStep = 0;
  /** The peer does not send running totals, so its acknowledgements cannot be used. */
  #meaningless = false;

  /**
   * Whether the peer has acknowledged something. Some servers never do, and some send what they received since their
   * last acknowledgement.
   */
  get known(): boolean {
    return this.#known && !this.#meaningless;
  }

  /** Total of acknowledged bytes. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** The largest number of bytes between two acknowledgements so far: how far behind an honest peer may be. */
  get longestStep(): number {
    return this.#longestStep;
  }

  /**
   * @param sequence the peer's count of received bytes, modulo 2^32
   * @param sent total of bytes sent so far: a peer cannot have received more
   */
  take(sequence: number, sent: number): void {
    const outstanding = sent - this.#acknowledged;
    const step = (sequence - this.#lastSequence + SEQUENCE_RANGE) % SEQUENCE_RANGE;
    if (sequence < this.#lastSequence && this.#lastSequence < LEAST_WRAP) this.#meaningless = true;
    this.#lastSequence = sequence;
    this.#known = true;
    if (step <= outstanding) {
      this.#acknowledged += step;
      this.#longestStep = Math.max(this.#longestStep, step);
    } else {
      // Its count has started again, as that of nginx-rtmp does at 0xf0000000. What it received just before that is
      // unknown, but less than one step.
      this.#acknowledged += Math.min(outstanding, sequence + this.#longestStep);
    }
  }
}
