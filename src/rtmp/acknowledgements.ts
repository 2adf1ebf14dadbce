/** Sequence numbers are 32 bits wide (RTMP 1.0, 5.4.3). */
const SEQUENCE_RANGE = 2 ** 32;

/** What a peer says that it has received. */
export class Acknowledgements {
  #known = false;
  #acknowledged = 0;
  #lastSequence = 0;
  #longestStep = 0;

  /** The peer has acknowledged something. Some servers never do. */
  get known(): boolean {
    return this.#known;
  }

  /** Bytes acknowledged in all. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** The most bytes between two acknowledgements so far: how far behind an honest peer may be. */
  get longestStep(): number {
    return this.#longestStep;
  }

  /**
   * @param sequence the peer's count of received bytes, modulo 2^32.
   * @param sent bytes sent in all until now: a peer cannot have received more.
   */
  take(sequence: number, sent: number): void {
    const outstanding = sent - this.#acknowledged;
    const step = (sequence - this.#lastSequence + SEQUENCE_RANGE) % SEQUENCE_RANGE;
    this.#lastSequence = sequence;
    this.#known = true;
    if (step <= outstanding) {
      this.#acknowledged += step;
      this.#longestStep = Math.max(this.#longestStep, step);
    } else {
      // Its count has begun anew, as nginx-rtmp's does at 0xf0000000. What it received before that is unknown but less than a step.
      this.#acknowledged += Math.min(outstanding, sequence + this.#longestStep);
    }
  }
}
