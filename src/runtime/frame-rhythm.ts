/** Frames of a single stream, at 24 to 50 a second; what comes faster is several streams, or needs no rest in step. Milliseconds. */
const SHORTEST_INTERVAL_MS = 20;
const LONGEST_INTERVAL_MS = 42;
/** A longer break says nothing about the interval. */
const BREAK_MS = 200;
/**
 * Of how many frames the interval is the average: at least, and before the older half is forgotten. To measure from turn to turn would be to measure
 * one's own rests, but no more frames can be found than come.
 */
const FEWEST_AVERAGED = 12;
const HALF_AVERAGED = 256;
/** By so much each turn comes sooner than the last one, until one comes too early. Milliseconds. */
const CREEP_MS = 0.1;
/** By so much all the intervals together, of which the average is, may be wrong: a frame that was left out. While they are few, turns come sooner by its share. */
const UNSURE_MS = 40;
/** The same where turns may come long after each frame: at first, out of step, and after so many turns none of which was too early. */
const SEARCH_MS = 2;
const PATIENT_TURNS = 60;
/** What is missing of a frame when a turn came too early is there after so many milliseconds. */
const MOMENT_MS = 4;
/** A frame that lets itself be waited for any longer is late, or too large for one turn. */
const MAX_MOMENTS = 2;
/** Of all turns so many may be too early; more, and frames come so irregularly that there is no step to keep. */
const MAX_EARLY_SHARE = 0.4;
const AVERAGED_TURNS = 32;
/** A turn sooner after a frame than this share of the interval was not meant to find the next one. */
const MIN_SHARE = 0.8;
/** Milliseconds until it is tried again. */
const GIVE_UP_MS = 5000;

/**
 * When the next frame will be there. A single stream's frames come at even intervals, but nobody tells when: a turn of the event loop only
 * finds what has come since the last. So each turn is tried a little earlier than the one before, until one finds its frame
 * not there yet, or in part, and waits a moment: from then on turns come right after frames, as few of them as there are frames.
 */
export class FrameRhythm {
  #intervalMs: number | undefined;
  #lastFrameMs = -Infinity;
  /** Frames since the break, and what had come when the older and the newer half of the average began. */
  #frames = 0;
  #older: Moment = { atMs: 0, frames: 0 };
  #newer: Moment = this.#older;
  /** When the next turn is to begin. One that begins later was held up, which says nothing about when frames come. */
  #dueMs = -Infinity;
  /** Where the frames are is not known, or no longer. */
  #searching = true;
  #moments = 0;
  /** Turns since the last one that was too early. */
  #lateTurns = 0;
  #earlyShare = 0;
  #givenUpUntilMs = -Infinity;

  /** To be told of turns that nobody rests between. They come right after frames, whatever brought them. */
  watch(nowMs: number, frames: number): void {
    if (frames === 0) return;
    this.#measure(nowMs, frames);
    this.#dueMs = nowMs + (this.#intervalMs ?? 0);
  }

  /**
   * To be told of each turn.
   *
   * @param nowMs when the turn began
   * @param frames that became complete in it
   * @param partial whether the last one is not complete yet
   * @returns milliseconds from `nowMs` to the next turn; `undefined` when there is no step to keep
   */
  next(nowMs: number, frames: number, partial: boolean): number | undefined {
    const heldUpMs = nowMs - this.#dueMs;
    const wasDueMs = heldUpMs >= 0 && heldUpMs < BREAK_MS ? this.#dueMs : nowMs;
    const sinceMs = wasDueMs - this.#lastFrameMs;
    if (heldUpMs >= BREAK_MS) this.#searching = true;
    // More than one in the time of one: they come faster than they did.
    if (frames > 1 && this.#intervalMs !== undefined && nowMs - this.#lastFrameMs < this.#intervalMs)
      this.#beginAnew(nowMs);
    else if (frames > 0) this.#measure(wasDueMs, frames);
    const intervalMs = this.#intervalMs;
    if (
      intervalMs === undefined ||
      intervalMs < SHORTEST_INTERVAL_MS ||
      intervalMs > LONGEST_INTERVAL_MS ||
      nowMs < this.#givenUpUntilMs
    ) {
      this.#earlyShare = 0;
      return this.#outOfStep();
    }
    if (frames === 0 && !partial && sinceMs < intervalMs * MIN_SHARE && heldUpMs < 0) return -heldUpMs;
    const early = frames === 0 || partial;
    this.#moments = early ? this.#moments + 1 : 0;
    this.#earlyShare += ((early ? 1 : 0) - this.#earlyShare) / AVERAGED_TURNS;
    if (this.#earlyShare > MAX_EARLY_SHARE) {
      this.#givenUpUntilMs = nowMs + GIVE_UP_MS;
      this.#beginAnew(nowMs);
      return this.#outOfStep();
    }
    this.#lateTurns = early ? 0 : this.#lateTurns + 1;
    if (early) {
      if (this.#moments > MAX_MOMENTS) return this.#outOfStep();
      this.#searching = false;
      this.#dueMs = nowMs + MOMENT_MS;
      return MOMENT_MS;
    }
    if (this.#lateTurns > PATIENT_TURNS) this.#searching = true;
    this.#dueMs =
      wasDueMs + intervalMs - (this.#searching ? SEARCH_MS : Math.max(CREEP_MS, UNSURE_MS / this.#averaged));
    while (this.#dueMs < nowMs) this.#dueMs += intervalMs;
    return this.#dueMs - nowMs;
  }

  #outOfStep(): undefined {
    this.#dueMs = -Infinity;
    this.#searching = true;
  }

  #measure(atMs: number, frames: number): void {
    const isBreak = (atMs - this.#lastFrameMs) / frames > BREAK_MS;
    this.#lastFrameMs = atMs;
    if (isBreak) return this.#beginAnew(atMs);
    this.#frames += frames;
    if (this.#frames - this.#newer.frames >= HALF_AVERAGED) {
      this.#older = this.#newer;
      this.#newer = { atMs, frames: this.#frames };
    }
    if (this.#averaged >= FEWEST_AVERAGED) this.#intervalMs = (atMs - this.#older.atMs) / this.#averaged;
  }

  get #averaged(): number {
    return this.#frames - this.#older.frames;
  }

  #beginAnew(atMs: number): void {
    this.#intervalMs = undefined;
    this.#frames = 0;
    this.#older = this.#newer = { atMs, frames: 0 };
  }
}

interface Moment {
  readonly atMs: number;
  readonly frames: number;
}
