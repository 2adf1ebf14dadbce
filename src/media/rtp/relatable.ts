import type { TrackClock } from './track-clock.ts';

/**
 * First reports that place the tracks differently than their arrival by more than is noticed and less than bad reports
 * do are believed when others have shown how exact they are, or when none has come.
 */
const NOTICEABLE_MS = 60;
const DOUBTFUL_MS = 450;

/** How much the delays of the tracks differ by their reports. */
export function delayDifference(tracks: readonly TrackClock[]): number {
  const relations = tracks.map(({ ntpOffsetMs = NaN }) => ntpOffsetMs);
  const differenceOf = (offset: (track: TrackClock) => number): number => {
    const delays = tracks.map((track, index) => offset(track) - relations[index]!);
    return Math.max(...delays) - Math.min(...delays);
  };
  // The smallest delay of the last seconds changes at different times, and the present one is not always the smallest.
  return Math.min(
    differenceOf((track) => track.arrivalOffsetMs!),
    differenceOf((track) => track.recentOffsetMs),
  );
}

/** Whether first reports need no time to be believed. */
export const isBelievable = (tracks: readonly TrackClock[], differenceMs: number): boolean =>
  tracks.some(({ reports }) => reports.differences > 0) || differenceMs <= NOTICEABLE_MS || differenceMs > DOUBTFUL_MS;
