/** A request without an answer is repeated after this time: the request or the key frame may have been lost. */
const REPEAT_MS = 500;
/**
 * After a request that was answered, the next one may follow sooner, but Chromium silently drops requests within 300 ms
 * of the last one, which would cost a repetition.
 */
const ANSWERED_MS = 350;
/**
 * A missing key frame is reported after this time: x264 makes one after 250 frames by default, ten seconds at 25 frames
 * per second.
 */
const PATIENCE_MS = 12_000;

/**
 * Decides when to request a key frame from the publisher: when one is needed, repeatedly until it arrives, and when the
 * last one is older than the interval. Time is passed in.
 */
export class KeyFrameRequests {
  readonly #intervalMs: number;
  readonly #request: () => void;
  readonly #missed: () => void;
  #startedMs = Infinity;
  #lastKeyFrame = -Infinity;
  #lastRequest = -Infinity;
  #needed = false;

  /** @param missed called once if the first key frame of a publisher has not arrived after {@link PATIENCE_MS} */
  constructor(intervalMs: number, request: () => void, missed: () => void = () => {}) {
    this.#intervalMs = intervalMs;
    this.#request = request;
    this.#missed = missed;
  }

  /** Another publisher has started to send. */
  start(nowMs: number): void {
    this.#startedMs = nowMs;
    this.need(nowMs);
  }

  /** A key frame is needed. */
  need(nowMs: number): void {
    this.#needed = true;
    this.tick(nowMs);
  }

  arrived(nowMs: number): void {
    this.#needed = false;
    this.#lastKeyFrame = nowMs;
    this.#startedMs = Infinity;
  }

  tick(nowMs: number): void {
    if (nowMs - this.#startedMs > PATIENCE_MS) {
      this.#startedMs = Infinity;
      this.#missed();
    }
    if (!this.#needed && nowMs - this.#lastKeyFrame < this.#intervalMs) return;
    const answered = this.#lastKeyFrame > this.#lastRequest;
    if (nowMs - this.#lastRequest < (answered ? ANSWERED_MS : REPEAT_MS)) return;
    this.#lastRequest = nowMs;
    this.#request();
  }
}
