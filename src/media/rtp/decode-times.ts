/** What is assumed between two frames until their times show it, in milliseconds. */
const FRAME_MS = 1000 / 30;
/** Frames that a decoder stores at most (ITU-T H.264, A.3.1): none is shown later than so many others. */
const MAX_DEPTH = 16;
/** After a longer step, frames are missing: what came before says nothing about the next frames. */
const MAX_STEP_MS = 1000;
/** Times that go further back do not show reordering: the publisher's clock has restarted. */
const MAX_BACK_MS = 500;

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

  /** How many frames are shown later at most than a frame that follows them. */
  get depth(): number {
    return this.#depth;
  }

  /** What follows does not depend on the frames before. */
  restart(): void {
    this.#ahead = [];
    this.#recent = [];
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
   * @param depth what the stream says of its reordering
   * @param frameMs milliseconds between two frames, if the stream says so
   */
  next(presentMs: number, capturedMs: number, depth: number, frameMs = FRAME_MS): number {
    if (this.#recent.length > 0 && capturedMs - Math.max(...this.#recent) > MAX_STEP_MS) this.restart();
    const later = this.#recent.filter((ms) => ms > capturedMs && ms < capturedMs + MAX_BACK_MS).length;
    this.#depth = Math.min(Math.max(depth, this.#depth, later), MAX_DEPTH);
    this.#recent.push(capturedMs);
    if (this.#recent.length > MAX_DEPTH) this.#recent.shift();
    if (this.#depth === 0) return presentMs;
    const first = this.#ahead[0] ?? presentMs;
    const missing = this.#depth - this.#ahead.length;
    const before = Array.from({ length: missing }, (_, index) => first - (missing - index) * frameMs);
    this.#ahead = [...before, ...this.#ahead, presentMs].sort((one, other) => one - other);
    return this.#ahead.shift()!;
  }
}
