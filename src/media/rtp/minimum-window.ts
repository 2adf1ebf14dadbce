/** Long enough to hold a packet that no queue delayed, short enough to follow a clock that drifts by 100 ppm within 2 ms. */
const DELAY_BUCKET_MS = 10_000;

/** The smallest of the values of the last one to two buckets, 10 to 20 seconds: the delay of the luckiest packet tells the delay of the way itself. */
export class MinimumWindow {
  readonly #bucketMs: number;
  #current = Infinity;
  #previous = Infinity;
  #latest = Infinity;
  #bucketStart: number | undefined;
  #lastAdd = -Infinity;

  /** @param bucketMs milliseconds for which a value counts at least, at most twice as many */
  constructor(bucketMs = DELAY_BUCKET_MS) {
    this.#bucketMs = bucketMs;
  }

  add(value: number, nowMs: number): void {
    this.#bucketStart ??= nowMs;
    const age = nowMs - this.#bucketStart;
    if (age >= this.#bucketMs) {
      // After a long silence the old minimum stays for one bucket more: the first packets may have been held up, and say nothing.
      this.#previous = age >= 2 * this.#bucketMs ? this.minimum : this.#current;
      this.#current = Infinity;
      this.#bucketStart = nowMs;
    }
    this.#current = Math.min(this.#current, value);
    this.#latest = value;
    this.#lastAdd = nowMs;
  }

  /** Of all values only the latest still says something. */
  forget(): void {
    this.#current = this.#latest;
    this.#previous = Infinity;
  }

  /** `Infinity` before the first value. */
  get minimum(): number {
    return Math.min(this.#current, this.#previous);
  }

  /** Whether no value has come for so long that the minimum says nothing about now. */
  isStale(nowMs: number): boolean {
    return nowMs - this.#lastAdd > 2 * this.#bucketMs;
  }
}
