/** Input without output that means that an encoder hangs, in milliseconds. */
const HUNG_MS = 5000;
/** Before its first output it also has to be started, on a machine that may be busy. */
const HUNG_AT_START_MS = 10_000;
/** The most that one piece of input counts: pauses of the stream, and of the gateway itself, are no time in which anything was to come out. */
const MAX_STEP_MS = 1000;

/**
 * Notices an encoder that takes its input and gives nothing back, or takes nothing. Any output is progress: one that is merely slow goes on
 * until too much waits for it.
 */
export class OutputWatch {
  readonly #marginMs: number;
  #limitMs = HUNG_AT_START_MS;
  #owedMs = 0;
  #waitedMs = 0;
  #mediaMs: number | undefined;
  #nowMs = 0;

  /** @param intervalMs milliseconds between two pieces of output; 0: as the input comes */
  constructor(intervalMs = 0) {
    this.#marginMs = 2 * intervalMs;
    this.begin();
  }

  /** A fresh encoder. */
  begin(): void {
    this.#limitMs = HUNG_AT_START_MS + this.#marginMs;
    this.#answered();
    this.#mediaMs = undefined;
  }

  /**
   * Input was given to it.
   *
   * @param mediaMs its time
   * @param nowMs ours: a burst after a stall is much input, but nothing had time to come out
   * @returns whether it hangs
   */
  fed(mediaMs: number, nowMs: number): boolean {
    if (this.#mediaMs !== undefined) {
      this.#owedMs += Math.min(Math.max(mediaMs - this.#mediaMs, 0), MAX_STEP_MS);
      this.#waitedMs += Math.min(nowMs - this.#nowMs, MAX_STEP_MS);
    }
    this.#mediaMs = mediaMs;
    this.#nowMs = nowMs;
    return this.#owedMs > this.#limitMs && this.#waitedMs > this.#limitMs;
  }

  /** Something came out. */
  came(): void {
    this.#limitMs = HUNG_MS + this.#marginMs;
    this.#answered();
  }

  #answered(): void {
    this.#owedMs = 0;
    this.#waitedMs = 0;
  }
}
