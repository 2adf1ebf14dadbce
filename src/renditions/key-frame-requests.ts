/** A request that brought nothing is repeated after this time: the request or the key frame may have been lost. */
const REPEAT_MS = 500;
/**
 * After a request that was answered the next one may come sooner, but not too soon: Chromium silently drops requests within 300 ms of
 * the last one, and then the repetition would be waited for.
 */
const ANSWERED_MS = 350;
/** For so long nobody wonders: x264 makes a key frame of its own in 250 frames, which take ten seconds at 25 a second. */
const PATIENCE_MS = 12_000;

/**
 * Decides when to ask the publisher for a key frame: as soon as one is wanted, again while none comes, and at the latest
 * when the last one is as old as platforms allow. Time is passed in.
 */
export class KeyFrameRequests {
  readonly #intervalMs: number;
  readonly #request: () => void;
  readonly #missed: () => void;
  #startedMs = Infinity;
  #lastKeyFrame = -Infinity;
  #lastRequest = -Infinity;
  #wanted = false;

  /** @param missed called once when the first key frame of a publisher has not come for {@link PATIENCE_MS} */
  constructor(intervalMs: number, request: () => void, missed: () => void = () => {}) {
    this.#intervalMs = intervalMs;
    this.#request = request;
    this.#missed = missed;
  }

  /** Another publisher has begun to send. */
  start(nowMs: number): void {
    this.#startedMs = nowMs;
    this.want(nowMs);
  }

  /** Somebody cannot go on without a key frame. */
  want(nowMs: number): void {
    this.#wanted = true;
    this.tick(nowMs);
  }

  arrived(nowMs: number): void {
    this.#wanted = false;
    this.#lastKeyFrame = nowMs;
    this.#startedMs = Infinity;
  }

  tick(nowMs: number): void {
    if (nowMs - this.#startedMs > PATIENCE_MS) {
      this.#startedMs = Infinity;
      this.#missed();
    }
    if (!this.#wanted && nowMs - this.#lastKeyFrame < this.#intervalMs) return;
    const answered = this.#lastKeyFrame > this.#lastRequest;
    if (nowMs - this.#lastRequest < (answered ? ANSWERED_MS : REPEAT_MS)) return;
    this.#lastRequest = nowMs;
    this.#request();
  }
}
