/** Pictures of a single stream, at 24 to 50 a second; what comes faster is several streams, or needs no rest in step. Milliseconds. */
const SHORTEST_INTERVAL_MS = 20;
const LONGEST_INTERVAL_MS = 42;
/** A longer break says nothing about the interval. */
const BREAK_MS = 200;
/** Of how many the interval is the average, roughly. */
const AVERAGED = 16;
/** From then on, what is further from the average than this share of it counts as no further: a turn that was late is no change of the interval. */
const MAX_DEVIATION = 0.1;
/** By so much each turn comes sooner than the last one, until one comes too early. Milliseconds. */
const CREEP_MS = 0.1;
/** After so many turns none of which was too early, turns come long after each picture: then faster and faster, up to ten times. */
const PATIENT_TURNS = 40;
const MAX_HASTE = 10;
/** What is missing of a picture when a turn came too early is there after so many milliseconds. */
const MOMENT_MS = 4;
/** A picture that lets itself be waited for any longer is late, or too large for one turn. */
const MAX_MOMENTS = 2;
/** Of all turns so many may be too early; more, and pictures come so irregularly that there is no step to keep. */
const MAX_EARLY_SHARE = 0.4;
const AVERAGED_TURNS = 32;
/** A turn sooner after a picture than this share of the interval was not meant to find the next one. */
const MIN_SHARE = 0.8;
/** Milliseconds until it is tried again. */
const GIVE_UP_MS = 5000;

/**
 * When the next picture will be there. A single stream's pictures come at even intervals, but nobody tells when: a turn of the event loop only
 * finds what has come since the last. So each turn is tried a little earlier than the one before, until one finds its picture
 * not there yet, or in part, and waits a moment: from then on turns come right after pictures, as few of them as there are pictures.
 */
export class PictureRhythm {
  #intervalMs: number | undefined;
  /** Intervals that have been measured. */
  #measured = 0;
  #lastPictureMs = -Infinity;
  /** When the next turn is to begin. One that begins later was held up, which says nothing about when pictures come. */
  #dueMs = -Infinity;
  #moments = 0;
  /** Turns since the last one that was too early. */
  #lateTurns = 0;
  #earlyShare = 0;
  #givenUpUntilMs = -Infinity;

  /** To be told of turns that nobody rests between. They come right after pictures, whatever brought them. */
  watch(nowMs: number, pictures: number): void {
    if (pictures === 0) return;
    this.#measure(nowMs, pictures);
    this.#dueMs = nowMs + (this.#intervalMs ?? 0);
  }

  /**
   * To be told of each turn.
   *
   * @param nowMs when the turn began
   * @param pictures that became complete in it
   * @param partial whether the last one is not complete yet
   * @returns milliseconds from `nowMs` to the next turn; `undefined` when there is no step to keep
   */
  next(nowMs: number, pictures: number, partial: boolean): number | undefined {
    const heldUpMs = nowMs - this.#dueMs;
    const wasDueMs = heldUpMs >= 0 && heldUpMs < BREAK_MS ? this.#dueMs : nowMs;
    const sinceMs = nowMs - this.#lastPictureMs;
    if (pictures > 0) this.#measure(nowMs, pictures);
    const intervalMs = this.#intervalMs;
    if (intervalMs === undefined || intervalMs < SHORTEST_INTERVAL_MS || intervalMs > LONGEST_INTERVAL_MS || nowMs < this.#givenUpUntilMs) {
      this.#earlyShare = 0;
      return this.#outOfStep();
    }
    if (pictures === 0 && !partial && sinceMs < intervalMs * MIN_SHARE && heldUpMs < 0) return -heldUpMs;
    const early = pictures === 0 || partial;
    this.#moments = early ? this.#moments + 1 : 0;
    this.#earlyShare += ((early ? 1 : 0) - this.#earlyShare) / AVERAGED_TURNS;
    if (this.#earlyShare > MAX_EARLY_SHARE) {
      this.#givenUpUntilMs = nowMs + GIVE_UP_MS;
      this.#forget();
    }
    this.#lateTurns = early ? 0 : this.#lateTurns + 1;
    if (early) {
      if (this.#moments > MAX_MOMENTS) return this.#outOfStep();
      this.#dueMs = nowMs + MOMENT_MS;
      return MOMENT_MS;
    }
    this.#dueMs = wasDueMs + intervalMs - CREEP_MS * Math.min(MAX_HASTE, Math.max(1, this.#lateTurns - PATIENT_TURNS));
    while (this.#dueMs < nowMs) this.#dueMs += intervalMs;
    return this.#dueMs - nowMs;
  }

  #outOfStep(): undefined {
    this.#dueMs = -Infinity;
  }

  #measure(nowMs: number, pictures: number): void {
    const elapsedMs = (nowMs - this.#lastPictureMs) / pictures;
    this.#lastPictureMs = nowMs;
    if (elapsedMs > BREAK_MS) return this.#forget();
    const intervalMs = this.#intervalMs ?? elapsedMs;
    const mostMs = this.#measured < AVERAGED ? Infinity : intervalMs * MAX_DEVIATION;
    this.#measured = Math.min(this.#measured + 1, AVERAGED);
    this.#intervalMs = intervalMs + Math.min(Math.max(elapsedMs - intervalMs, -mostMs), mostMs) / this.#measured;
  }

  #forget(): void {
    this.#intervalMs = undefined;
    this.#measured = 0;
  }
}
