/** Sequence numbers are 32 bits wide (RTMP 1.0, 5.4.3). */
const SEQUENCE_RANGE = 2 ** 32;
/** A count that begins anew below this was no running total: those that we know wrap at 2^32, or at 0xf0000000 (nginx-rtmp). */
const LEAST_WRAP = 2 ** 31;

/** What a peer says that it has received. */
export class Acknowledgements {
  #known = false;
  #acknowledged = 0;
  #lastSequence = 0;
  #longestStep = 0;
  /** What the peer tells is no running total, and so nothing that can be reckoned with. */
  #meaningless = false;

  /** The peer has acknowledged something. Some servers never do, and some tell what has come since they last did. */
  get known(): boolean {
    return this.#known && !this.#meaningless;
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
    if (sequence < this.#lastSequence && this.#lastSequence < LEAST_WRAP) this.#meaningless = true;
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
