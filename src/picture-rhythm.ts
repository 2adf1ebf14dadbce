/** Pictures of a single stream, at 24 to 50 a second; what comes faster is several streams, or needs no rest in step. Milliseconds. */
const SHORTEST_INTERVAL_MS = 20;
const LONGEST_INTERVAL_MS = 42;
/** A longer break says nothing about the interval. */
const BREAK_MS = 200;
/** Of how many pictures the interval is the average, roughly. */
const AVERAGED = 16;
/** By so much each turn comes sooner than the last one, until one comes too early. Milliseconds. */
const CREEP_MS = 0.4;
/** What is missing of a picture when a turn came too early is there after so many milliseconds. */
const MOMENT_MS = 4;
/** A picture that lets itself be waited for any longer is late, or too large for one turn. */
const MAX_MOMENTS = 2;
/** Of all turns so many may be too early; more, and pictures come so irregularly that there is no step to keep. */
const MAX_EARLY_SHARE = 0.4;
const AVERAGED_TURNS = 32;
/** Milliseconds until it is tried again. */
const GIVE_UP_MS = 5000;

/**
 * When the next picture will be there. A single stream's pictures come at even intervals, but nobody tells when: a turn of the event loop only
 * finds what has come since the last. So each turn is tried a little earlier than the one before, until one finds its picture
 * not there yet, or in part, and waits a moment: from then on turns come right after pictures, as few of them as there are pictures.
 */
export class PictureRhythm {
  #intervalMs: number | undefined;
  #lastPictureMs = -Infinity;
  #moments = 0;
  #earlyShare = 0;
  #givenUpUntilMs = -Infinity;

  /**
   * To be told of each turn.
   *
   * @param nowMs when the turn began
   * @param pictures that became complete in it
   * @param partial whether the last one is not complete yet
   * @returns milliseconds from `nowMs` to the next turn; `undefined` when there is no step to keep
   */
  next(nowMs: number, pictures: number, partial: boolean): number | undefined {
    if (pictures > 0) this.#measure(nowMs, pictures);
    const intervalMs = this.#intervalMs;
    if (intervalMs === undefined || intervalMs < SHORTEST_INTERVAL_MS || intervalMs > LONGEST_INTERVAL_MS || nowMs < this.#givenUpUntilMs) {
      this.#earlyShare = 0;
      return undefined;
    }
    const early = pictures === 0 || partial;
    this.#moments = early ? this.#moments + 1 : 0;
    this.#earlyShare += ((early ? 1 : 0) - this.#earlyShare) / AVERAGED_TURNS;
    if (this.#earlyShare > MAX_EARLY_SHARE) this.#givenUpUntilMs = nowMs + GIVE_UP_MS;
    if (!early) return intervalMs - CREEP_MS;
    return this.#moments <= MAX_MOMENTS ? MOMENT_MS : undefined;
  }

  #measure(nowMs: number, pictures: number): void {
    const elapsedMs = (nowMs - this.#lastPictureMs) / pictures;
    this.#lastPictureMs = nowMs;
    if (elapsedMs > BREAK_MS) this.#intervalMs = undefined;
    else this.#intervalMs = this.#intervalMs === undefined ? elapsedMs : this.#intervalMs + (elapsedMs - this.#intervalMs) / AVERAGED;
  }
}
