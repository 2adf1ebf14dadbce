import type { Relation, ReportWindow } from './report-window.ts';
import { middleOf, studentsFactor, varianceOf } from './statistics.ts';
import type { TrackClock } from './track-clock.ts';

/** Fewer pairs do not show how exact they are. */
const MIN_PAIRS = 3;
/** How sure it has to be that pairs refute something, as standard deviations of a normal distribution. */
const CERTAINTY = 5;
/** Reports are not wrong by more than 200 ms, so two of them do not differ by more than this. */
const MOST_MS = 450;

interface Value {
  readonly ms: number;
  readonly atMs: number;
}

/**
 * How much more each report of one track says than the one of the other track that was made at about the same time. A
 * wall clock that is set changes both: unlike the relations of the tracks, their difference does not depend on it.
 */
function pairsOf(track: ReportWindow, other: ReportWindow): Value[] {
  const [own, others] = [track.all, other.all];
  return own.flatMap((value) => {
    const partner = nearest(others, value.atMs);
    return nearest(own, partner.atMs) === value ? [{ ms: value.ms - partner.ms, atMs: value.atMs }] : [];
  });
}

const nearest = (values: readonly Value[], atMs: number): Value =>
  values.reduce((best, value) => (Math.abs(value.atMs - atMs) < Math.abs(best.atMs - atMs) ? value : best));

/**
 * How far the true difference may be from the middle of pairs: those are even where the wall clock is set. Where it is
 * not, the reports of each track tell it sooner.
 */
function radiusOf(pairs: readonly number[], tracks: readonly ReportWindow[]): number {
  const singles = tracks.map(({ all }) => all.map(({ ms }) => ms));
  const freedom = singles.reduce((sum, { length }) => sum + length - 1, 0);
  const limitOf = (variance: number, degrees: number): number =>
    studentsFactor(degrees, CERTAINTY) * Math.sqrt(variance / pairs.length);
  const bySingles = limitOf(2 * Math.max(...singles.map(varianceOf)), freedom);
  const byPairs = limitOf(varianceOf(pairs), pairs.length - 1);
  return Math.min(bySingles, byPairs, MOST_MS);
}

/** The relations of two tracks, with their difference by reports that are next to each other. */
export class ReportPairs {
  #revisions: readonly object[] = [];
  /** What one track's reports say more than those of the other. */
  #difference: Relation | undefined;

  relations(tracks: readonly TrackClock[], relations: readonly Relation[]): Relation[] {
    const windows = tracks.map(({ reports }) => reports);
    if (windows.some(({ revision }, index) => revision !== this.#revisions[index])) this.#compare(windows);
    if (!this.#difference) return [...relations];
    const byMs = this.#difference.ms - (relations[0]!.ms - relations[1]!.ms);
    const radiusMs = this.#difference.radiusMs / 2;
    return relations.map(({ ms }, index) => ({ ms: ms + (index === 0 ? byMs : -byMs) / 2, radiusMs }));
  }

  #compare(windows: readonly ReportWindow[]): void {
    this.#revisions = windows.map(({ revision }) => revision);
    const pairs = pairsOf(windows[0]!, windows[1]!).map(({ ms }) => ms);
    const areEnough = pairs.length >= MIN_PAIRS;
    this.#difference = areEnough ? { ms: middleOf(pairs), radiusMs: radiusOf(pairs, windows) } : undefined;
  }
}

/** Whether pairs change by about `stepMs` at a time, so that only `track` has the step. */
export function pairsShow(track: ReportWindow, other: ReportWindow, stepMs: number, sinceMs: number): boolean {
  const pairs = pairsOf(track, other);
  const before = pairs.filter(({ atMs }) => atMs < sinceMs).map(({ ms }) => ms);
  const after = pairs.filter(({ atMs }) => atMs >= sinceMs).map(({ ms }) => ms);
  if (before.length === 0 || after.length === 0) return true;
  return Math.abs(middleOf(after) - middleOf(before) - stepMs) <= Math.abs(stepMs) / 2;
}

export interface ClockStep {
  readonly byMs: number;
  readonly sinceMs: number;
}

/** A step that the reports of both tracks show, though one of them may not have been taken for a step. */
export function commonStep(track: ReportWindow, other: ReportWindow): ClockStep | undefined {
  const sinceMs = Math.min(...[track, other].map(({ steps }) => steps[0]?.atMs ?? Infinity));
  const own = track.changeSince(sinceMs);
  const others = other.changeSince(sinceMs);
  if (own === undefined || others === undefined || Math.abs(own - others) > Math.abs(own) / 2) return undefined;
  return { byMs: (own + others) / 2, sinceMs };
}
