/** Requests that are granted within {@link WINDOW_MS}. */
const GRANTED = 3;
const WINDOW_MS = 60_000;

/** Bounds how often a server's request is carried out. Time is passed in. */
export class RequestBudget {
  #grantedMs: readonly number[] = [];
  #complained = false;

  /** `exhausted` once, then `silent` until a request is granted again, so that the log is not flooded. */
  take(nowMs: number): 'granted' | 'exhausted' | 'silent' {
    const recent = this.#grantedMs.filter((ms) => nowMs - ms < WINDOW_MS);
    if (recent.length < GRANTED) {
      this.#grantedMs = [...recent, nowMs];
      this.#complained = false;
      return 'granted';
    }
    if (this.#complained) return 'silent';
    this.#complained = true;
    return 'exhausted';
  }
}
