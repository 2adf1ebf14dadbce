/** Sequence numbers are 32 bits wide (RTMP 1.0, 5.4.3). */
const SEQUENCE_RANGE = 2 ** 32;
/**
 * A count that starts again below this is not a running total: known servers wrap at 2^32, or at 0xf0000000
 * (nginx-rtmp).
 */
const LEAST_WRAP = 2 ** 31;
/**
 * Bytes that the kernels of both sides hold at most for a process that does not read. A peer that lets more leave has
 * read, whatever it acknowledges.
 */
export const KERNELS_HOLD = 5 * 1024 * 1024;

/** When acknowledgements arrive, whatever their numbers are. Counted from the first media on. */
export interface AcknowledgementRhythm {
  /** How many have arrived. */
  readonly count: number;
  /** Bytes that had been passed to the kernel when the last one arrived. */
  readonly passed: number;
  /** The largest number of bytes passed to the kernel from one to the next. */
  readonly longest: number;
}

/**
 * What a peer acknowledges. The numbers of some servers are running totals; others send a constant, what they received
 * since their last acknowledgement, or more than was sent. Such numbers are not used, but their arrival is a sign of
 * life all the same.
 */
export class Acknowledgements {
  #known = false;
  #acknowledged = 0;
  #lastSequence = 0;
  #longestStep = 0;
  /** The numbers cannot be running totals. */
  #meaningless = false;
  #rhythm: AcknowledgementRhythm = { count: 0, passed: 0, longest: 0 };

  /** Whether the peer has acknowledged something, with numbers that can be running totals. */
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

  get rhythm(): AcknowledgementRhythm {
    return this.#rhythm;
  }

  /** Media follows: acknowledgements while connecting do not show how often the peer will acknowledge. */
  mediaBegins(passed: number): void {
    this.#rhythm = { count: 0, passed, longest: 0 };
  }

  /**
   * @param sequence the peer's count of received bytes, modulo 2^32
   * @param sent total of bytes sent so far: a peer cannot have received more
   * @param passed total of bytes passed to the kernel so far
   */
  take(sequence: number, sent: number, passed = sent): void {
    const { count, passed: before, longest } = this.#rhythm;
    this.#rhythm = { count: count + 1, passed, longest: Math.max(longest, passed - before) };
    if (!this.#meaningless) this.#count(sequence, sent);
    if (passed - this.#acknowledged > KERNELS_HOLD) this.#meaningless = true;
  }

  #count(sequence: number, sent: number): void {
    const outstanding = sent - this.#acknowledged;
    const step = (sequence - this.#lastSequence + SEQUENCE_RANGE) % SEQUENCE_RANGE;
    const wraps = sequence < this.#lastSequence && this.#lastSequence >= LEAST_WRAP;
    const repeats = this.#known && step === 0 && outstanding > 0;
    this.#known = true;
    if (repeats || (sequence < this.#lastSequence && !wraps) || (step > outstanding && !wraps)) {
      this.#meaningless = true;
      return;
    }
    this.#lastSequence = sequence;
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
