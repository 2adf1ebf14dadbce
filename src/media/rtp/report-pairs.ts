import { quantile, type Relation, type ReportWindow } from './report-window.ts';
import type { TrackClock } from './track-clock.ts';

/** Fewer pairs do not show how exact they are. */
const MIN_PAIRS = 3;
/** How sure it has to be that pairs refute something, as standard deviations of a normal distribution. */
const CERTAINTY = 5;
/** Errors further away than this many times the one that three quarters do not exceed are outliers. */
const OUTLIER = 3;
/** Reports are not wrong by more than 200 ms, so two of them do not differ by more than this. */
const MOST_MS = 450;

/**
 * How much more each report of one track says than the one of the other track that was made at about the same time. A
 * wall clock that is set changes both: unlike the relations of the tracks, their difference does not depend on it.
 */
function pairsOf(track: ReportWindow, other: ReportWindow): number[] {
  const [own, others] = [track.all, other.all];
  return own.flatMap((value) => {
    const partner = nearest(others, value.atMs);
    return nearest(own, partner.atMs) === value ? [value.ms - partner.ms] : [];
  });
}

const nearest = <T extends { readonly atMs: number }>(values: readonly T[], atMs: number): T =>
  values.reduce((best, value) => (Math.abs(value.atMs - atMs) < Math.abs(best.atMs - atMs) ? value : best));

/** The mean without the outer quarters, and how far the true value may be away. */
function middleOf(values: readonly number[]): Relation {
  const sorted = values.toSorted((a, b) => a - b);
  const outer = Math.round((sorted.length - 1) / 4);
  const inner = sorted.slice(outer, sorted.length - outer);
  const ms = inner.reduce((sum, value) => sum + value, 0) / inner.length;
  const errors = values.map((value) => Math.abs(value - ms));
  const most = OUTLIER * quantile(errors, 0.75);
  const freedom = values.length - 1;
  const squares = errors.reduce((sum, error) => sum + Math.min(error, most) ** 2, 0);
  const standardError = Math.sqrt(squares / freedom / values.length);
  return { ms, radiusMs: Math.min(studentsFactor(freedom) * standardError, MOST_MS) };
}

/** Wallace's approximation of the quantile of Student's distribution. */
function studentsFactor(freedom: number): number {
  const normal = (CERTAINTY * (8 * freedom + 3)) / (8 * freedom + 1);
  return Math.sqrt(freedom * Math.expm1(normal ** 2 / freedom));
}

/** The relations of two tracks, with their difference by reports that are next to each other. */
export function relationsByPairs(tracks: readonly TrackClock[], relations: readonly Relation[]): Relation[] {
  const [one, other] = tracks as [TrackClock, TrackClock];
  const pairs = pairsOf(one.reports, other.reports);
  if (pairs.length < MIN_PAIRS) return [...relations];
  const { ms: differenceMs, radiusMs } = middleOf(pairs);
  const byMs = differenceMs - (relations[0]!.ms - relations[1]!.ms);
  return relations.map(({ ms }, index) => ({ ms: ms + (index === 0 ? byMs : -byMs) / 2, radiusMs: radiusMs / 2 }));
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
