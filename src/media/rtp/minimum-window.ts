/**
 * Long enough to contain a packet that no queue delayed, short enough to follow a clock that drifts by 100 ppm within 2
 * ms.
 */
const DELAY_BUCKET_MS = 10_000;

/**
 * The smallest value of the last one to two buckets, 10 to 20 seconds: the delay of the fastest packet is the delay of
 * the network path itself.
 */
export class MinimumWindow {
  readonly #bucketMs: number;
  #current = Infinity;
  #previous = Infinity;
  #bucketStart: number | undefined;
  #lastAdd = -Infinity;

  /** @param bucketMs milliseconds for which a value counts at least, and at most twice as long */
  constructor(bucketMs = DELAY_BUCKET_MS) {
    this.#bucketMs = bucketMs;
  }

  add(value: number, nowMs: number): void {
    this.#bucketStart ??= nowMs;
    const age = nowMs - this.#bucketStart;
    if (age >= this.#bucketMs) {
      // After a long pause the old minimum is kept for one more bucket: the first packets may have been delayed.
      this.#previous = age >= 2 * this.#bucketMs ? this.minimum : this.#current;
      this.#current = Infinity;
      this.#bucketStart = nowMs;
    }
    this.#current = Math.min(this.#current, value);
    this.#lastAdd = nowMs;
  }

  /** Forgets all values; `minimum` is the smallest from now on. */
  forget(minimum: number): void {
    this.#current = minimum;
    this.#previous = Infinity;
  }

  /** All values so far are larger by this much. */
  shift(by: number): void {
    this.#current += by;
    this.#previous += by;
  }

  /** `Infinity` before the first value. */
  get minimum(): number {
    return Math.min(this.#current, this.#previous);
  }

  /** Whether there has been no value for so long that the minimum is outdated. */
  isStale(nowMs: number): boolean {
    return nowMs - this.#lastAdd > 2 * this.#bucketMs;
  }
}
