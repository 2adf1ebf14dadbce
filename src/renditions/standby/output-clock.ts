import { MinimumWindow } from '../../media/rtp/minimum-window.ts';

/** The least delayed frame of this time, at most twice, defines the present of the live stream. Milliseconds. */
const PRESENT_MS = 1000;
/** After this time with the same source, its delay has settled: what changes from then on is its clock. Milliseconds. */
const SETTLED_AFTER_MS = 3000;

/**
 * The present of an output that outlives its sources. It follows the clock of what is live, which runs slightly faster or
 * slower than the local one, but not the different delays of its sources: otherwise each of them would push the output a
 * little further ahead of real time.
 */
export class OutputClock {
  /** How far the output's clock is behind the local clock, in milliseconds. */
  #behindMs: number;
  #window = new MinimumWindow(PRESENT_MS);
  #source: string | undefined;
  #sinceMs = 0;
  /** What is added to the minimum of the window, once that has settled. */
  #offsetMs: number | undefined;

  /** The output's time is 0. */
  constructor(nowMs: number) {
    this.#behindMs = nowMs;
  }

  /** The output's time is that of its first source. */
  begin(outMs: number, nowMs: number): void {
    this.#behindMs = nowMs - outMs;
    this.interrupt();
  }

  /** The present of the output. */
  outMs(nowMs: number): number {
    return nowMs - this.#behindMs;
  }

  /**
   * Follows live media.
   *
   * @param source media of different kinds has different delays
   * @param atMs the time in the output of a tag that has just arrived
   */
  follow(source: 'audio' | 'video', atMs: number, nowMs: number): void {
    if (source !== this.#source) {
      this.interrupt();
      this.#source = source;
      this.#sinceMs = nowMs;
    }
    this.#window.add(nowMs - atMs, nowMs);
    if (nowMs - this.#sinceMs < SETTLED_AFTER_MS) return;
    this.#offsetMs ??= this.#behindMs - this.#window.minimum;
    this.#behindMs = this.#window.minimum + this.#offsetMs;
  }

  /** What is live has another delay from now on. */
  interrupt(): void {
    this.#window = new MinimumWindow(PRESENT_MS);
    this.#source = undefined;
    this.#offsetMs = undefined;
  }
}
