/** The progress of a connection at one moment, in bytes since its beginning. */
export interface TakenBytes {
  readonly handed: number;
  /** Not yet passed to the kernel. */
  readonly queued: number;
  /** What the peer has acknowledged; `undefined` if it never acknowledges. */
  readonly acknowledged: number | undefined;
  /** How far the acknowledgements of an honest peer may lag behind. */
  readonly acknowledgementStep: number;
}

/** A peer may acknowledge one step late, and another step may be in transit at that moment. */
const STEPS_BEHIND = 2;

/**
 * Decides whether a peer still takes data. Only outstanding bytes can stall: a stream that pauses is not a dead peer. A
 * peer that acknowledges is judged by its acknowledgements alone, because the kernels in between accept megabytes for a
 * process that hangs; another peer by the bytes passed to the kernel.
 */
export class Liveness {
  readonly #timeoutMs: number;
  #taken = 0;
  /** The last value of the measure in use, which changes with the first acknowledgement. */
  #measured = 0;
  #acknowledges = false;
  /** When something was last taken, or nothing was outstanding. */
  #alive: number;

  constructor(timeoutMs: number, now: number) {
    this.#timeoutMs = timeoutMs;
    this.#alive = now;
  }

  /** Total of bytes taken. Never decreases, even if the first acknowledgement is lower than the estimate before. */
  get taken(): number {
    return this.#taken;
  }

  /** Updates the state. @returns whether nothing has been taken for the timeout although bytes are outstanding */
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
