import { quantile, type Relation, type ReportWindow } from './report-window.ts';
import type { TrackClock } from './track-clock.ts';

/**
 * How much more one track's reports say than those of the other one that are next to them in time. A wall clock that is
 * set changes both: unlike the relations of the tracks, their difference does not depend on when that is noticed.
 */
function differenceOf(track: ReportWindow, other: ReportWindow): number {
  const differences = track.all.map(({ ms, atMs }) => {
    const nearest = other.all.reduce((best, value) =>
      Math.abs(value.atMs - atMs) < Math.abs(best.atMs - atMs) ? value : best,
    );
    return ms - nearest.ms;
  });
  return quantile(differences, 0.5);
}

/** The relations of two tracks, with their difference by reports that are next to each other. */
export function relationsByPairs(tracks: readonly TrackClock[], relations: readonly Relation[]): Relation[] {
  const [one, other] = tracks as [TrackClock, TrackClock];
  const byMs = differenceOf(one.reports, other.reports) - (relations[0]!.ms - relations[1]!.ms);
  return relations.map(({ ms, radiusMs }, index) => ({ ms: ms + (index === 0 ? byMs : -byMs) / 2, radiusMs }));
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
