import type { VideoTrack } from '../streams/live-stream.ts';

/** Between two requests: each key frame costs a publisher several times the bits of other frames. Milliseconds. */
const PACE_MS = 2000;
/** The same after a request without an answer, which mediasoup repeats once by itself. */
const UNANSWERED_MS = 4000;
/** Key frames that come by themselves come at times that differ by this share. */
const TOLERANCE = 0.1;
/** Readers of one track report the same key frame within this time. */
const SAME_FRAME_MS = 50;
/**
 * A missing key frame is reported after this time: x264 makes one after 250 frames by default, ten seconds at 25 frames
 * per second.
 */
const PATIENCE_MS = 12_000;

/** What all that read a track know of its key frames, so that together they request no more than one would. */
export class KeyFramePace {
  static readonly #ofTracks = new WeakMap<VideoTrack, KeyFramePace>();
  static #total = 0;
  #lastRequestMs = -Infinity;
  #lastKeyFrameMs = -Infinity;
  /** Milliseconds between the last two key frames, if none was requested between them. */
  #ownIntervalMs = Infinity;

  static of(track: VideoTrack): KeyFramePace {
    let pace = this.#ofTracks.get(track);
    if (!pace) this.#ofTracks.set(track, (pace = new KeyFramePace()));
    return pace;
  }

  /** Requests of all tracks since the start of the process. */
  static get total(): number {
    return this.#total;
  }

  /** @param paceMs the least time between two requests */
  mayRequest(nowMs: number, paceMs: number): boolean {
    const isAnswered = this.#lastKeyFrameMs > this.#lastRequestMs;
    return nowMs - this.#lastRequestMs >= (isAnswered ? paceMs : (paceMs * UNANSWERED_MS) / PACE_MS);
  }

  requested(nowMs: number): void {
    KeyFramePace.#total++;
    this.#lastRequestMs = nowMs;
  }

  arrived(nowMs: number): void {
    const intervalMs = nowMs - this.#lastKeyFrameMs;
    if (intervalMs < SAME_FRAME_MS) return;
    this.#ownIntervalMs = this.#lastRequestMs < this.#lastKeyFrameMs ? intervalMs : Infinity;
    this.#lastKeyFrameMs = nowMs;
  }

  /** Milliseconds since the last key frame. */
  ageMs(nowMs: number): number {
    return nowMs - this.#lastKeyFrameMs;
  }

  /** Whether key frames come by themselves within this time, and the next one is not late. */
  isRegular(withinMs: number, nowMs: number): boolean {
    const limitMs = withinMs * (1 + TOLERANCE);
    return this.#ownIntervalMs <= limitMs && this.ageMs(nowMs) < limitMs;
  }
}

/**
 * Decides when to request a key frame from the publisher: when one is needed, repeatedly until it arrives, and when the
 * last one is older than the interval. None is requested while they come by themselves, and otherwise no more than one
 * in two seconds, by all readers of a track. Time is passed in.
 */
export class KeyFrameRequests {
  readonly #intervalMs: number;
  readonly #request: () => void;
  readonly #missed: () => void;
  #pace = new KeyFramePace();
  #startedMs = Infinity;
  #needed = false;
  /** One is welcome, and not worth a request while they come by themselves. */
  #wanted = false;

  /** @param missed called once if the first key frame of a publisher has not arrived after {@link PATIENCE_MS} */
  constructor(intervalMs: number, request: () => void, missed: () => void = () => {}) {
    this.#intervalMs = intervalMs;
    this.#request = request;
    this.#missed = missed;
  }

  /**
   * Another publisher has started to send.
   *
   * @param pace of its track
   */
  start(nowMs: number, pace = new KeyFramePace()): void {
    this.#pace = pace;
    this.#startedMs = nowMs;
    this.#needed = false;
    this.want(nowMs);
  }

  /** Frames are missing: nothing can be sent before the next key frame. */
  need(nowMs: number): void {
    this.#needed = true;
    this.tick(nowMs);
  }

  /** An output could begin, or a file could. */
  want(nowMs: number): void {
    this.#wanted = true;
    this.tick(nowMs);
  }

  arrived(nowMs: number): void {
    this.#needed = false;
    this.#wanted = false;
    this.#pace.arrived(nowMs);
    this.#startedMs = Infinity;
  }

  tick(nowMs: number): void {
    if (nowMs - this.#startedMs > PATIENCE_MS) {
      this.#startedMs = Infinity;
      this.#missed();
    }
    if (!this.#isDue(nowMs) || !this.#pace.mayRequest(nowMs, Math.min(PACE_MS, this.#intervalMs))) return;
    this.#pace.requested(nowMs);
    this.#request();
  }

  #isDue(nowMs: number): boolean {
    if (this.#needed) return true;
    if (this.#pace.isRegular(Math.min(PACE_MS, this.#intervalMs), nowMs)) return false;
    return this.#wanted || this.#pace.ageMs(nowMs) >= this.#intervalMs;
  }
}
