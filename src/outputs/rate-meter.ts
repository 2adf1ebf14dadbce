/**
 * The time over which a rate is measured: short enough to follow changes, long enough not to jump with each key frame.
 */
const WINDOW_MS = 4000;
const SAMPLE_EVERY_MS = 250;

/** The rate of a running total over the last seconds. Keeps a bounded number of samples. */
export class RateMeter {
  readonly #samples: { atMs: number; total: number }[] = [];

  /** Notes the total at a time. Cheap to call often. */
  note(total: number, nowMs: number): void {
    const last = this.#samples[this.#samples.length - 1];
    if (last && nowMs - last.atMs < SAMPLE_EVERY_MS) return;
    this.#samples.push({ atMs: nowMs, total });
    while (this.#samples.length > 2 && nowMs - this.#samples[1]!.atMs > WINDOW_MS) this.#samples.shift();
  }

  /** Units per second; 0 while there are too few samples, and when nothing has been noted for a while. */
  perSecond(total: number, nowMs: number): number {
    const first = this.#samples[0];
    if (!first || nowMs - this.#samples.at(-1)!.atMs > WINDOW_MS) return 0;
    const elapsed = nowMs - first.atMs;
    return elapsed < SAMPLE_EVERY_MS ? 0 : ((total - first.total) * 1000) / elapsed;
  }
}
