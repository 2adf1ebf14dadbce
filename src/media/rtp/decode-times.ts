/** What is assumed between two frames until their times show it, in milliseconds. */
const FRAME_MS = 1000 / 30;
/** Frames that a decoder stores at most (ITU-T H.264, A.3.1): none is shown later than so many others. */
const MAX_DEPTH = 16;
/** After a longer step than between frames that are reordered, frames are missing: what came before says nothing about the next frames. */
const MAX_STEP_MS = 1000;

/** What is known of the order of frames. */
export interface Reordering {
  /** How many frames are shown later at most than a frame that follows them, as far as the stream says so. */
  readonly depth: number;
  /** Milliseconds between two frames, if they are known. */
  readonly frameMs?: number | undefined;
  /** A frame is shown at most so long before one that precedes it. */
  readonly reorderMs?: number;
}

/**
 * The decoding times of frames that come in decoding order with their presentation times. Where frames are reordered,
 * by at most `depth` frames, a frame is decoded when the frame that came `depth` frames before the last one in the order
 * of presentation is shown: these times are as even as those of the presentation, rise, and are never later than the
 * presentation. Nothing is held back.
 */
export class DecodeTimes {
  /** Presentation times that have not become decoding times, in order: `depth` of them between two frames. */
  #ahead: number[] = [];
  /** The last times on the publisher's clock, in the order of arrival. */
  #recent: number[] = [];
  #depth = 0;
  #lastMs: number | undefined;

  /** How many frames are shown later at most than a frame that follows them. */
  get depth(): number {
    return this.#depth;
  }

  /** What follows does not depend on the frames before. */
  restart(): void {
    this.#ahead = [];
    this.#recent = [];
    this.#lastMs = undefined;
  }

  /** The publisher's clock has restarted: its times before say nothing about the order of those that follow. */
  forget(): void {
    this.#recent = [];
  }

  /**
   * The decoding time of the next frame.
   *
   * @param presentMs when it is shown
   * @param capturedMs the same on the publisher's clock, which is not corrected: more reordering than `depth` is learnt
   *   from it
   */
  next(presentMs: number, capturedMs: number, { depth, frameMs = FRAME_MS, reorderMs = 0 }: Reordering): number {
    if (this.#recent.length > 0 && capturedMs - Math.max(...this.#recent) > MAX_STEP_MS + reorderMs) this.restart();
    const later = this.#recent.filter((ms) => ms > capturedMs).length;
    this.#depth = Math.min(Math.max(depth, this.#depth, later), MAX_DEPTH);
    this.#recent.push(capturedMs);
    if (this.#recent.length > MAX_DEPTH) this.#recent.shift();
    const first = this.#ahead[0] ?? presentMs;
    const missing = this.#depth - this.#ahead.length;
    // Frames that were not taken for reordered have been decoded when they were shown.
    const before = Array.from({ length: missing }, (_, index) =>
      Math.min(first - (missing - index) * frameMs, this.#lastMs ?? Infinity),
    );
    this.#ahead = [...before, ...this.#ahead, presentMs].sort((one, other) => one - other);
    this.#lastMs = this.#ahead.shift()!;
    return this.#lastMs;
  }
}
