/** A shorter pause, and less delay after it, is jitter of the network. */
const PAUSE_MS = 250;
const LATE_MS = 200;
/** How long it takes to tell what stood still: this is how long packets are held back. */
const DECIDE_MS = 150;
/** A network delivers what it held back faster than real time, by at least this share and at most at once. */
const CATCH_UP_RATE = 0.2;
const CATCH_UP_MS = 100;
/** A network that was taken to catch up is judged again after this time, as long as packets are as late as this. */
const JUDGE_AGAIN_MS = 500;
const STILL_LATE_MS = 1000;

interface Seen {
  readonly timestamp: number;
  readonly nowMs: number;
  readonly lateMs: number;
}

interface Lateness {
  /** How much later than the fastest one a packet is. */
  readonly lateMs: number;
  /** Time since the last new timestamp. */
  readonly pauseMs: number;
  /** By how much this differs between frames that are not sent in the order of their timestamps. */
  readonly reorderMs: number;
}

/**
 * After a pause, packets are late either because the source and its timestamps stood still, as audio does in browsers,
 * or because the network stalled. A network then delivers what it held back faster than real time.
 */
export class PauseJudge {
  /** The first packet after the pause. */
  #first: Seen | undefined;
  #latest: Seen | undefined;
  #leastLateMs = Infinity;
  #reorderMs = 0;
  #isUndecided = false;

  get isUndecided(): boolean {
    return this.#isUndecided;
  }

  /**
   * A packet with a new timestamp.
   *
   * @param timestamp the first one that can have been sent after those before
   */
  advance(timestamp: number, nowMs: number, { lateMs, pauseMs, reorderMs }: Lateness): void {
    const seen = { timestamp, nowMs, lateMs };
    this.#reorderMs = reorderMs;
    if (pauseMs > PAUSE_MS && lateMs > LATE_MS) this.#begin(seen, true);
    if (!this.#first) return;
    this.#latest = seen;
    this.#leastLateMs = Math.min(this.#leastLateMs, lateMs);
  }

  /** Returns from which timestamp on all are late by how much, if timestamps stood still; once. */
  decide(nowMs: number): { readonly timestamp: number; readonly lateMs: number } | undefined {
    const first = this.#first;
    const latest = this.#latest;
    if (!first || !latest) return undefined;
    const gainedMs = first.lateMs - latest.lateMs - this.#reorderMs;
    const elapsedMs = nowMs - first.nowMs;
    if (this.#isUndecided) {
      const isBurst = gainedMs > CATCH_UP_MS;
      if (!isBurst && elapsedMs < DECIDE_MS) return undefined;
      if (isBurst || gainedMs > CATCH_UP_RATE * (latest.nowMs - first.nowMs)) {
        this.#begin(latest.lateMs > STILL_LATE_MS ? latest : undefined, false);
        return undefined;
      }
      const { timestamp } = first;
      const lateMs = this.#leastLateMs;
      this.#begin(undefined, false);
      return { timestamp, lateMs };
    }
    if (elapsedMs < JUDGE_AGAIN_MS) return undefined;
    const isLate = latest.lateMs > STILL_LATE_MS;
    const catchesUp = gainedMs > CATCH_UP_MS;
    this.#begin(isLate && catchesUp ? latest : undefined, false);
    return isLate && !catchesUp ? latest : undefined;
  }

  #begin(first: Seen | undefined, isUndecided: boolean): void {
    this.#first = first;
    this.#latest = first;
    this.#leastLateMs = Infinity;
    this.#isUndecided = isUndecided;
  }
}
