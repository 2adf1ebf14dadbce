/** The longest delay of a timer in Node, in milliseconds. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Calls back once at a point in time, however far away, and never synchronously. */
export class Deadline {
  readonly #at: number;
  readonly #onReached: () => void;
  #timer: NodeJS.Timeout;

  /** @param at milliseconds since 1970 */
  constructor(at: number, onReached: () => void) {
    this.#at = at;
    this.#onReached = onReached;
    this.#timer = this.#wait();
  }

  /** Idempotent. */
  cancel(): void {
    clearTimeout(this.#timer);
  }

  #wait(): NodeJS.Timeout {
    return setTimeout(
      () => {
        if (Date.now() >= this.#at) this.#onReached();
        else this.#timer = this.#wait();
      },
      Math.min(Math.max(this.#at - Date.now(), 0), MAX_DELAY_MS),
    );
  }
}
