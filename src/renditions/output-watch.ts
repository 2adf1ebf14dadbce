/** Input without output after which an encoder counts as hanging, in milliseconds. */
const HUNG_MS = 5000;
/** Before its first output it also has to start, on a machine that may be busy. */
const HUNG_AT_START_MS = 10_000;
/**
 * The most that one piece of input counts. No output is expected during pauses of the stream and of the gateway itself.
 */
const MAX_STEP_MS = 1000;

/**
 * Detects an encoder that produces no output for its input, or does not read it. Any output is progress: a slow encoder
 * runs until its backlog is too large.
 */
export class OutputWatch {
  readonly #marginMs: number;
  #limitMs = HUNG_AT_START_MS;
  #owedMs = 0;
  #waitedMs = 0;
  #mediaMs: number | undefined;
  #nowMs = 0;

  /** @param intervalMs milliseconds between two pieces of output; 0: one for each piece of input */
  constructor(intervalMs = 0) {
    this.#marginMs = 2 * intervalMs;
    this.begin();
  }

  /** A new encoder starts. */
  begin(): void {
    this.#limitMs = HUNG_AT_START_MS + this.#marginMs;
    this.#reset();
    this.#mediaMs = undefined;
  }

  /**
   * Records input.
   *
   * @param mediaMs the time of the input on the stream's clock
   * @param nowMs local time: after a stall a burst of input arrives at once, and there was no time to process it
   * @returns whether the encoder hangs
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

  /** Records output. */
  produced(): void {
    this.#limitMs = HUNG_MS + this.#marginMs;
    this.#reset();
  }

  #reset(): void {
    this.#owedMs = 0;
    this.#waitedMs = 0;
  }
}
