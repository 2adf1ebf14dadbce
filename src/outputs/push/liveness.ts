/** What is known of a connection's progress at one moment, in bytes counted from its beginning. */
export interface TakenBytes {
  readonly handed: number;
  /** Not yet left for the kernel. */
  readonly queued: number;
  /** What the peer says it has received; undefined: it never says. */
  readonly acknowledged: number | undefined;
  /** How far an honest peer's word may lag behind. */
  readonly acknowledgementStep: number;
}

/** A peer may acknowledge a step late, and what is on the way when it does is another. */
const STEPS_BEHIND = 2;

/**
 * Decides whether a peer still takes what it is given. Only what is outstanding can stall: a stream that pauses is not a dead peer. A peer
 * that acknowledges is judged by its word alone, because the kernels between us swallow megabytes for a process that stands still; one that
 * does not, by what has left for the kernel.
 */
export class Liveness {
  readonly #timeoutMs: number;
  #taken = 0;
  /** The last look at the measure in use, which changes with the peer's first word. */
  #measured = 0;
  #acknowledges = false;
  /** When something was taken last, or nothing was due. */
  #alive: number;

  constructor(timeoutMs: number, now: number) {
    this.#timeoutMs = timeoutMs;
    this.#alive = now;
  }

  /** Bytes taken in all; never less than before, even when the peer's first word is lower than what we had guessed. */
  get taken(): number {
    return this.#taken;
  }

  /** Looks again. @returns whether nothing has been taken for the timeout although something is due. */
  update(bytes: TakenBytes, now: number): boolean {
    const acknowledges = bytes.acknowledged !== undefined;
    const measured = bytes.acknowledged ?? bytes.handed - bytes.queued;
    const due = acknowledges ? bytes.handed - STEPS_BEHIND * bytes.acknowledgementStep : bytes.handed;
    if (measured > this.#measured || acknowledges !== this.#acknowledges || measured >= due) this.#alive = now;
    this.#measured = measured;
    this.#acknowledges = acknowledges;
    this.#taken = Math.max(this.#taken, measured);
    return now - this.#alive >= this.#timeoutMs;
  }
}
