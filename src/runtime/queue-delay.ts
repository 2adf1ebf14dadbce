export interface QueueDelayOptions {
  /** Messages that have waited this long are late. Milliseconds. */
  readonly lateMs: number;
  /** Late messages are followed by late ones until the delay is below this. Milliseconds. */
  readonly recoveredMs: number;
}

/**
 * How long messages wait in an ordered queue, measured by probes: what comes out before the answer to a probe was put
 * in before that answer, and so is older than the probe. Pure; times are milliseconds of one clock.
 */
export class QueueDelay {
  readonly #options: QueueDelayOptions;
  /** When the unanswered probes were sent, oldest first. */
  readonly #probes: number[] = [];
  #last = 0;
  #isLate = false;

  constructor(options: QueueDelayOptions) {
    this.#options = options;
  }

  /** A probe was sent. Answers come in the order of the probes. */
  sent(nowMs: number): void {
    this.#probes.push(nowMs);
  }

  answered(nowMs: number): void {
    const sentMs = this.#probes.shift();
    if (sentMs !== undefined) this.#last = nowMs - sentMs;
  }

  /** The age of the oldest unanswered probe; 0 if all are answered. */
  waitingMs(nowMs: number): number {
    return nowMs - (this.#probes[0] ?? nowMs);
  }

  /** The age of the oldest unanswered probe, or how long the last answer took. */
  delayMs(nowMs: number): number {
    return Math.max(this.#last, this.waitingMs(nowMs));
  }

  /** Whether a message that comes out now is late, or should be dropped with the late ones before it. */
  isLate(nowMs: number): boolean {
    const oldest = this.#probes[0];
    if (oldest === undefined) return (this.#isLate = false);
    const { lateMs, recoveredMs } = this.#options;
    return (this.#isLate = nowMs - oldest > (this.#isLate ? recoveredMs : lateMs));
  }

  /** Forgets the probes, for example those of a queue that is gone. */
  reset(): void {
    this.#probes.length = 0;
    this.#last = 0;
    this.#isLate = false;
  }
}
