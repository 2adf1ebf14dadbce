/** More reports than this are not needed: with the noise that is accepted, they tell the relation within 30 ms. */
const MAX_REPORTS = 64;
/** Of so many differences of reports the noise is estimated by the median, of fewer by the largest one. */
const MEDIAN_OF = 4;
const MAX_DIFFERENCES = 24;
/** The relation is wanted this exactly, in milliseconds: as few reports as that needs follow a drift soonest. */
const EXACT_MS = 3;
/** Standard errors that the relation may differ from the mean of the reports by. */
const STANDARD_ERRORS = 2.5;
/** A difference of this many times the noise, but at least this many milliseconds, is a step. */
const STEP_NOISE = 3;
const STEP_MS = 40;
/** Steps that follow each other at the same rate, such as audio lost each second, are a slope. */
const SLOPE_REPORTS = 3;
const MAX_SLOPE = 0.06;
const MIN_SLOPE = 0.002;
const MAX_EXTRAPOLATION_MS = 6000;

interface Value {
  readonly ms: number;
  readonly atMs: number;
}

/** The relation of two clocks by several reports. */
export interface Relation {
  readonly ms: number;
  /** How far the true value may be away, by the noise of the reports. */
  readonly radiusMs: number;
}

/**
 * The relation of a track's media time to the publisher's wall clock. Each report is one measurement with an error: the
 * relation is their mean, and what differs from it by more than the noise is a step or an outlier, which the next
 * reports tell apart.
 */
export class ReportWindow {
  #values: Value[] = [];
  /** Differences of consecutive reports without a step between them. */
  #differences: number[] = [];
  /** How fast the last reports changed, steps included. */
  #rates: number[] = [];
  /** Reports that are a step away, in a row. */
  #steps: Value[] = [];

  get isEmpty(): boolean {
    return this.#values.length === 0;
  }

  /** How many reports the relation comes from. */
  get count(): number {
    return this.#values.length;
  }

  /** Reports that differ from the relation in a row. */
  get steps(): readonly Value[] {
    return this.#steps;
  }

  /** The error of a single report, as standard deviation; `undefined` before there are two. */
  get noiseMs(): number | undefined {
    const count = this.#differences.length;
    if (count === 0) return undefined;
    // Without a common part, which is a drift.
    const middle = count < SLOPE_REPORTS ? 0 : median(this.#differences);
    const errors = this.#differences.map((difference) => Math.abs(difference - middle));
    return count < MEDIAN_OF ? 0.7 * Math.max(...errors) : 1.05 * median(errors);
  }

  /** @param noiseMs of a report of this publisher */
  relation(nowMs: number, noiseMs: number): Relation | undefined {
    const last = this.#values.at(-1);
    if (!last) return undefined;
    const wanted = Math.max(1, Math.ceil(((STANDARD_ERRORS * noiseMs) / EXACT_MS) ** 2));
    const used = this.#values.slice(-wanted);
    const ms = used.reduce((sum, value) => sum + value.ms, 0) / used.length;
    const slope = used.length <= 2 ? this.#slope() : 0;
    return {
      ms: ms + slope * Math.min(nowMs - last.atMs, MAX_EXTRAPOLATION_MS),
      radiusMs: Math.max(0, (STANDARD_ERRORS * noiseMs) / Math.sqrt(used.length) - EXACT_MS),
    };
  }

  /** Takes a report; it is one of {@link steps} if it differs. Returns by how much. */
  add(ms: number, atMs: number, noiseMs: number): number {
    const differenceMs = ms - (this.relation(atMs, noiseMs)?.ms ?? ms);
    if (Math.abs(differenceMs) > Math.max(STEP_MS, STEP_NOISE * noiseMs)) {
      this.#steps.push({ ms, atMs });
      return differenceMs;
    }
    this.#steps = [];
    const last = this.#values.at(-1);
    if (last) append(this.#differences, ms - last.ms, MAX_DIFFERENCES);
    this.#append({ ms, atMs });
    return differenceMs;
  }

  /** How many of the last steps agree. */
  agreeing(noiseMs: number): number {
    const last = this.#steps.at(-1);
    if (!last) return 0;
    const toleranceMs = Math.max(STEP_MS / 2, 2 * noiseMs);
    let count = 0;
    while (count < this.#steps.length && Math.abs(this.#steps.at(-1 - count)!.ms - last.ms) <= toleranceMs) count++;
    return count;
  }

  /** The last `count` steps are the relation from now on. */
  acceptSteps(count: number): void {
    const steps = this.#steps.slice(-count);
    this.#steps = [];
    const [first, ...others] = steps;
    const last = this.#values.at(-1);
    this.#values = [];
    if (last) this.#addRate(last, first!);
    this.#values = [first!];
    for (const value of others) this.#append(value);
  }

  /** The steps do not agree: they are noise that has grown. */
  acceptNoise(): void {
    for (const value of this.#steps) {
      const last = this.#values.at(-1);
      if (last) append(this.#differences, value.ms - last.ms, MAX_DIFFERENCES);
      this.#append(value);
    }
    this.#steps = [];
  }

  /** The clock was set: all reports before are as if it had been set all the time. */
  shift(byMs: number): void {
    this.#values = this.#values.map(({ ms, atMs }) => ({ ms: ms + byMs, atMs }));
  }

  /** Reports before a restart of the timestamps say no more than what was measured by them. */
  restart(nowMs: number, noiseMs: number): void {
    const relation = this.relation(nowMs, noiseMs);
    this.#values = relation ? [{ ms: relation.ms, atMs: nowMs }] : [];
    this.#steps = [];
    this.#rates = [];
  }

  #append(value: Value): void {
    const last = this.#values.at(-1);
    if (last) this.#addRate(last, value);
    append(this.#values, value, MAX_REPORTS);
  }

  #addRate(from: Value, to: Value): void {
    append(this.#rates, (to.ms - from.ms) / Math.max(1, to.atMs - from.atMs), SLOPE_REPORTS);
  }

  #slope(): number {
    if (this.#rates.length < SLOPE_REPORTS) return 0;
    const slope = median(this.#rates);
    const isSteady = this.#rates.every((rate) => Math.abs(rate - slope) <= Math.abs(slope) / 2);
    return isSteady && Math.abs(slope) >= MIN_SLOPE ? Math.min(Math.max(slope, -MAX_SLOPE), MAX_SLOPE) : 0;
  }
}

function append<T>(list: T[], value: T, limit: number): void {
  list.push(value);
  if (list.length > limit) list.shift();
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
