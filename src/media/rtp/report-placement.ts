import type { Relation } from './report-window.ts';
import { meanOf } from './statistics.ts';
import type { TrackClock } from './track-clock.ts';

/**
 * Where tracks belong on the publisher's wall clock. Arrivals decide until reports refute them. Then the middle of the
 * reports is best.
 *
 * @param share of the way from where they are to there, between the tracks: what changes for all of them changes at once
 */
export function placedByReports(
  tracks: readonly TrackClock[],
  relations: readonly Relation[],
  share: number,
): number[] {
  const meanMs = meanOf(tracks.map((track, index) => track.arrivalOffsetMs! - relations[index]!.ms));
  const targets = tracks.map((track, index) => {
    const { ms, radiusMs } = relations[index]!;
    const byArrival = track.arrivalOffsetMs! - meanMs;
    return Math.abs(byArrival - ms) <= radiusMs ? byArrival : ms;
  });
  const commonMs = meanOf(tracks.map(({ placedMs }, index) => targets[index]! - (placedMs ?? targets[index]!)));
  return tracks.map(({ placedMs }, index) => {
    const { ms, radiusMs } = relations[index]!;
    const target = targets[index]!;
    const fromMs = placedMs === undefined ? target : placedMs + commonMs;
    return Math.min(Math.max(fromMs + (target - fromMs) * share, ms - radiusMs), ms + radiusMs);
  });
}
