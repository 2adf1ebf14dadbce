import { quantile, sumOfSquares } from './statistics.ts';

/** More reports than this are not needed: with the noise that is accepted, they tell the relation within 40 ms. */
const MAX_REPORTS = 64;
const MAX_DIFFERENCES = 48;
/** A few differences may be small by chance: one stands for up to this many times more noise than it shows. */
const FEW_DIFFERENCES = 6;
/** Fewer reports before a change are not compared with those after it. */
const MIN_BEFORE = 3;
/** The relation is wanted this exactly, in milliseconds: as few reports as that needs follow a drift soonest. */
const EXACT_MS = 4;
/** Standard errors that the relation may differ from the mean of the reports by. */
const STANDARD_ERRORS = 2.5;
/** A difference of this many times the noise, but at least this many milliseconds, is a step. */
const STEP_NOISE = 3;
const STEP_MS = 40;
/** A step that arrivals show as well, within this, needs no other report. */
export const SUPPORT_MS = 30;
/** Steps that follow each other at the same rate, such as audio lost each second, are a slope. */
const SLOPE_REPORTS = 3;
/** They change by this many times the noise: three reports of even noise can differ by 3.5 times their noise. */
const SLOPE_NOISE = 6;
const MAX_SLOPE = 0.06;
const MIN_SLOPE = 0.002;
/** For so long a slope goes on before arrivals have to show it as well. */
const SLOPE_ALONE_MS = 1000;

/** Senders report at least every 5 s (RFC 3550, 6.2), and a report may be lost. */
export const REPORTS_END_MS = 16_000;
/** A sender that reports more often has ended them after so many of its intervals, at least this time. */
const MISSING_REPORTS = 4;
const MIN_REPORTS_END_MS = 4000;

/** How much later packets arrive than at the last report. */
interface Arrivals {
  /** Compared with the other track. */
  readonly laterMs: number;
  readonly aloneMs: number;
}

interface Value {
  readonly ms: number;
  readonly atMs: number;
  readonly arrivals?: Arrivals;
}

interface Rate extends Arrivals {
  readonly perMs: number;
  readonly elapsedMs: number;
}

const NO_CHANGE: Arrivals = { laterMs: 0, aloneMs: 0 };

interface Difference {
  readonly ms: number;
  readonly elapsedMs: number;
}

/** After how long without a report they have ended. */
export const reportsEndMs = (everyMs: number): number =>
  Math.min(Math.max(MISSING_REPORTS * everyMs, MIN_REPORTS_END_MS), REPORTS_END_MS);

/** Whether a single report tells steps. */
export const areExact = (noiseMs: number): boolean => STEP_NOISE * noiseMs <= STEP_MS;

/**
 * The error of a single report, as standard deviation; `undefined` before two of the stream have come. A few that agree
 * by chance do not make one track more exact than the other.
 *
 * @param other the window of the stream's other track
 */
export function noiseOf(track: ReportWindow, other?: ReportWindow): number | undefined {
  const count = track.differences + (other?.differences ?? 0);
  if (count === 0) return undefined;
  return (1 + FEW_DIFFERENCES / count) * Math.max(track.noiseMs, other?.noiseMs ?? 0);
}

/** Whether packets have become later by about as much as a step says. */
export function arrivalsShow(stepMs: number, laterMs: number): boolean {
  return (
    Math.sign(laterMs) === Math.sign(stepMs) &&
    Math.abs(laterMs) > SUPPORT_MS &&
    Math.abs(laterMs - stepMs) <= Math.max(SUPPORT_MS, Math.abs(stepMs) / 2)
  );
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
  /** Differences of consecutive reports without a step between them, and without the slope. */
  #differences: Difference[] = [];
  #noiseMs = 0;
  /** How fast the last reports changed, steps included. */
  #rates: Rate[] = [];
  #slope = 0;
  /** In which time. */
  #slopeMs = 0;
  /** Whether arrivals have shown the last step, so that they show the next one before a report does. */
  #arrivalsShow = false;
  /** Reports that are a step away, in a row. */
  #steps: Value[] = [];
  /** How far packets have become later since the last report. */
  #laterMs = 0;
  /** Another one after each change of the reports. */
  revision: object = {};

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

  /** All reports that count, also those that may be a step. */
  get all(): readonly Value[] {
    return [...this.#values, ...this.#steps];
  }

  /** How many of them in a row prove a step that nothing else shows. */
  stepsNeeded(noiseMs: number): number {
    return areExact(noiseMs) ? 2 : 4;
  }

  /** How many differences the noise comes from. */
  get differences(): number {
    return this.#differences.length;
  }

  /** The error of a single report that they show. */
  get noiseMs(): number {
    return this.#noiseMs;
  }

  /** The relation changes at this rate, as the last reports did, if they are exact enough to tell. */
  slope(noiseMs: number): number {
    return Math.abs(this.#slope * this.#slopeMs) > SLOPE_NOISE * noiseMs ? this.#slope : 0;
  }

  /** Whether the relation changes between reports, as arrivals show. */
  changes(noiseMs: number): boolean {
    return this.#arrivalsShow || this.slope(noiseMs) !== 0;
  }

  /** Packets arrive later by `byMs` than at the last report: a slope goes on as far as arrivals show it. */
  arriveLater(byMs: number): void {
    this.#laterMs = byMs;
  }

  /** @param noiseMs of a report of this publisher */
  relation(nowMs: number, noiseMs: number): Relation | undefined {
    const last = this.#values.at(-1);
    if (!last) return undefined;
    const wanted = Math.max(1, Math.ceil(((STANDARD_ERRORS * noiseMs) / EXACT_MS) ** 2));
    const slope = this.slope(noiseMs);
    // Reports before a slope began say nothing about it.
    const count = Math.min(wanted, this.#values.length, slope === 0 ? Infinity : SLOPE_REPORTS + 1);
    let sum = 0;
    for (let index = this.#values.length - count; index < this.#values.length; index++) {
      const { ms, atMs } = this.#values[index]!;
      sum += ms + slope * (last.atMs - atMs);
    }
    return {
      ms: sum / count + this.#extrapolate(slope, nowMs - last.atMs),
      radiusMs: Math.max(0, (STANDARD_ERRORS * noiseMs) / Math.sqrt(count) - EXACT_MS),
    };
  }

  #extrapolate(slope: number, elapsedMs: number): number {
    if (slope === 0) return this.#arrivalsShow ? within(this.#laterMs, MAX_SLOPE * elapsedMs) : 0;
    const most = Math.max(0, Math.sign(slope) * this.#laterMs) + Math.abs(slope) * SLOPE_ALONE_MS;
    return within(slope * elapsedMs, most);
  }

  /** Takes a report; it is one of {@link steps} if it differs by more than the noise, or if arrivals show it as well. */
  add(ms: number, atMs: number, noiseMs: number, arrivals: Arrivals = NO_CHANGE): void {
    this.revision = {};
    const { laterMs, aloneMs } = arrivals;
    const relation = this.relation(atMs, noiseMs);
    const differenceMs = ms - (relation?.ms ?? ms);
    // The second report shows the noise, if arrivals do not show a step.
    const limitMs = this.#differences.length === 0 ? Infinity : STEP_NOISE * noiseMs;
    if (Math.abs(differenceMs) > STEP_MS && (Math.abs(differenceMs) > limitMs || arrivalsShow(differenceMs, laterMs))) {
      this.#steps.push({ ms, atMs, arrivals });
      this.#arrivalsShow = false;
      return;
    }
    const last = this.#values.at(-1);
    // Steps that do not last are noise as well.
    for (const step of this.#steps) this.#differ(step.ms - last!.ms, step.atMs - last!.atMs);
    this.#steps = [];
    if (last) {
      const change = ms - last.ms - this.#extrapolate(this.slope(noiseMs), atMs - last.atMs);
      const errors = [change, change - laterMs, change - aloneMs].toSorted((a, b) => Math.abs(a) - Math.abs(b));
      this.#differ(errors[0]!, atMs - last.atMs);
    }
    this.#append({ ms, atMs, arrivals });
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

  /**
   * The last `count` steps are the relation from now on.
   *
   * @param areShown by arrivals
   */
  acceptSteps(count: number, areShown = false): void {
    this.revision = {};
    this.#arrivalsShow = areShown;
    const steps = this.#steps.slice(-count);
    this.#steps = [];
    const [first, ...others] = steps;
    const last = this.#values.at(-1);
    this.#values = [];
    if (last) this.#addRate(last, first!);
    this.#values = [first!];
    this.#laterMs = 0;
    for (const value of others) this.#append(value);
  }

  /** How much more reports say from `sinceMs` on than before; `undefined`: there are none. */
  changeSince(sinceMs: number): number | undefined {
    const before = this.#values.filter(({ atMs }) => atMs < sinceMs);
    const after = this.all.filter(({ atMs }) => atMs >= sinceMs);
    return before.length >= MIN_BEFORE && after.length > 0 ? mean(after) - mean(before) : undefined;
  }

  /** The clock was set at `sinceMs`: without its step, reports from then on are like those before. */
  acceptClock(byMs: number, sinceMs: number): void {
    this.revision = {};
    this.#values = this.all.map(({ ms, atMs }) => ({ ms: atMs < sinceMs ? ms + byMs : ms, atMs })).slice(-MAX_REPORTS);
    this.#steps = [];
    this.#rates = [];
    this.#laterMs = 0;
  }

  /** The steps do not agree: they are noise that has grown. */
  acceptNoise(): void {
    this.revision = {};
    for (const value of this.#steps) {
      const last = this.#values.at(-1);
      if (last) this.#differ(value.ms - last.ms, value.atMs - last.atMs);
      this.#append(value);
    }
    this.#steps = [];
  }

  /** The clock was set: all reports before are as if it had been set all the time. */
  shift(byMs: number): void {
    this.revision = {};
    this.#values = this.#values.map(({ ms, atMs }) => ({ ms: ms + byMs, atMs }));
  }

  /** Reports before a restart of the timestamps say no more than what was measured by them. */
  restart(nowMs: number, noiseMs: number): void {
    this.revision = {};
    const relation = this.relation(nowMs, noiseMs);
    this.#values = relation ? [{ ms: relation.ms, atMs: nowMs }] : [];
    this.#steps = [];
    this.#rates = [];
    this.#slope = 0;
    this.#arrivalsShow = false;
  }

  #append(value: Value): void {
    this.#laterMs = 0;
    const last = this.#values.at(-1);
    if (last) this.#addRate(last, value);
    append(this.#values, value, MAX_REPORTS);
  }

  #addRate(from: Value, to: Value): void {
    const elapsedMs = Math.max(1, to.atMs - from.atMs);
    append(
      this.#rates,
      { perMs: (to.ms - from.ms) / elapsedMs, elapsedMs, ...(to.arrivals ?? NO_CHANGE) },
      SLOPE_REPORTS,
    );
    const rates = this.#rates.map(({ perMs }) => perMs);
    const slope = quantile(rates, 0.5);
    const isSteady =
      rates.length === SLOPE_REPORTS && rates.every((rate) => Math.abs(rate - slope) <= Math.abs(slope) / 2);
    this.#slopeMs = this.#rates.reduce((sum, rate) => sum + rate.elapsedMs, 0);
    const before = this.#slope;
    const isNoise = before === 0 && Math.abs(slope) * this.#slopeMs <= SLOPE_NOISE * this.#noiseMs;
    const isSlope = isSteady && !isNoise && Math.abs(slope) >= MIN_SLOPE && this.#areLaterBy(slope * this.#slopeMs);
    this.#slope = isSlope ? within(slope, MAX_SLOPE) : 0;
    if (before === 0 && this.#slope !== 0) this.#removeSlope();
  }

  /** Whether arrivals show what the last rates come to: three reports in a line may be noise. */
  #areLaterBy(ms: number): boolean {
    const sumOf = (key: keyof Arrivals): number => this.#rates.reduce((sum, rate) => sum + rate[key], 0);
    return [sumOf('laterMs'), sumOf('aloneMs')].some((laterMs) => Math.abs(laterMs - ms) <= Math.abs(ms) / 2);
  }

  /** What was taken for noise was a slope. */
  #removeSlope(): void {
    const recent = this.#differences.splice(-SLOPE_REPORTS);
    for (const { ms, elapsedMs } of recent) {
      const rest = ms - this.#slope * elapsedMs;
      this.#differ(Math.abs(rest) < Math.abs(ms) ? rest : ms, elapsedMs);
    }
  }

  #differ(ms: number, elapsedMs: number): void {
    append(this.#differences, { ms, elapsedMs }, MAX_DIFFERENCES);
    const differences = this.#differences.map((difference) => difference.ms);
    const count = differences.length;
    // Without a common part, which is a drift.
    const middle = count < SLOPE_REPORTS ? 0 : quantile(differences, 0.5);
    const errors = differences.map((difference) => Math.abs(difference - middle));
    this.#noiseMs = Math.sqrt(sumOfSquares(errors) / count / 2);
  }
}

const mean = (values: readonly Value[]): number => values.reduce((sum, { ms }) => sum + ms, 0) / values.length;

function append<T>(list: T[], value: T, limit: number): void {
  list.push(value);
  if (list.length > limit) list.shift();
}

const within = (value: number, limit: number): number => Math.min(Math.max(value, -limit), limit);
