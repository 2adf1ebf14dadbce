import { wallClockMs } from '../runtime/wall-clock.ts';

/** The longest delay of a timer in Node, in milliseconds. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Calls back once at a point in time, however far away, and never synchronously. It does not move when the wall clock steps. */
export class Deadline {
  readonly #onReached: () => void;
  #timer: NodeJS.Timeout;

  /** @param at milliseconds since 1970 */
  constructor(at: number, onReached: () => void) {
    this.#onReached = onReached;
    this.#timer = this.#wait(Math.max(at - wallClockMs(), 0));
  }

  /** Idempotent. */
  cancel(): void {
    clearTimeout(this.#timer);
  }

  /** Timers run on a clock that does not step. */
  #wait(leftMs: number): NodeJS.Timeout {
    const delayMs = Math.min(leftMs, MAX_DELAY_MS);
    return setTimeout(() => {
      if (leftMs > delayMs) this.#timer = this.#wait(leftMs - delayMs);
      else this.#onReached();
    }, delayMs);
  }
}
