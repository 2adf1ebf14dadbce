import { MinimumWindow } from '../../media/rtp/minimum-window.ts';

/** What encoders are set to. A clip has one of these rates. */
const USUAL_RATES = [5, 8, 10, 12, 15, 20, 24, 25, 30, 50, 60];
const LONGEST_INTERVAL_MS = 1000 / USUAL_RATES[0]!;
const SHORTEST_INTERVAL_MS = 1000 / USUAL_RATES.at(-1)!;
/** Assumed until frames have arrived. */
export const DEFAULT_RATE = 30;
/** Frames after which a rate is trusted. */
export const MEASURED_FRAMES = 20;
/** The share of one interval in the mean. */
const WEIGHT = 1 / 32;
/** A longer interval counts as this number of mean ones: it may be an interruption, which says nothing about the rate. */
const MOST_MEANS = 2;
/** The shortest and the longest time without a frame after which video counts as absent, in milliseconds. */
const ABSENT_AFTER_MS = 500;
const ABSENT_AFTER_AT_MOST_MS = 3000;
/** Numbers of the longest recent interval: browsers send a still screen with one frame in a second. */
const INTERVALS_WITHOUT_FRAME = 3;

/** The frame rate of live video, which may vary: a shared screen has as many frames as it has changes. */
export class FrameRate {
  #meanMs = 1000 / DEFAULT_RATE;
  #lastMs: number | undefined;
  /** Negative intervals. */
  #longest = new MinimumWindow();
  #frames = 0;

  /** Notes a frame. Times are milliseconds of its stream and of the local clock. */
  note(timestamp: number, nowMs: number): void {
    const interval = timestamp - (this.#lastMs ?? timestamp);
    this.#lastMs = timestamp;
    if (interval <= 0) return;
    this.#longest.add(-Math.min(interval, ABSENT_AFTER_AT_MOST_MS), nowMs);
    // The first intervals count more, so that the rate is known within a second.
    const weight = Math.max(WEIGHT, 1 / ++this.#frames);
    this.#meanMs += (Math.min(interval, MOST_MEANS * this.#meanMs) - this.#meanMs) * weight;
  }

  /** Another stream follows, with timestamps of its own. */
  restart(): void {
    this.#lastMs = undefined;
    this.#longest = new MinimumWindow();
    this.#frames = 0;
  }

  /** Number of intervals that the mean is made of. */
  get measured(): number {
    return this.#frames;
  }

  /** Frames per second, once enough frames have come. */
  get known(): number | undefined {
    return this.#frames >= MEASURED_FRAMES ? 1000 / this.#meanMs : undefined;
  }

  /** Mean milliseconds between two frames. */
  get intervalMs(): number {
    return Math.min(Math.max(this.#meanMs, SHORTEST_INTERVAL_MS), LONGEST_INTERVAL_MS);
  }

  /** The usual rate that is nearest to the measured one. */
  get usualRate(): number {
    const rate = 1000 / this.intervalMs;
    const distance = (usual: number): number => Math.abs(Math.log(usual / rate));
    return USUAL_RATES.reduce((best, usual) => (distance(usual) < distance(best) ? usual : best));
  }

  /** Milliseconds without a frame after which the video counts as absent. */
  get absentAfterMs(): number {
    const longestMs = this.#longest.minimum < Infinity ? -this.#longest.minimum : 0;
    return Math.min(Math.max(ABSENT_AFTER_MS, INTERVALS_WITHOUT_FRAME * longestMs), ABSENT_AFTER_AT_MOST_MS);
  }
}
