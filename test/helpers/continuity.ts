import type { Recording, Track } from './recording.ts';

export interface ContinuityLimits {
  /** Milliseconds between two frames of the stream. */
  readonly frameMs: number;
  /** Milliseconds by which arrival times may differ. Default: 60. */
  readonly jitterMs?: number;
  /** Milliseconds between two audio frames. Default: 50. */
  readonly audioGapMs?: number;
}

/** Everything that a viewer would notice as a break: nothing for a recording that is continuous. */
export function breaksOf(
  { video, audio, startsWithKeyFrame, decodeErrors }: Recording,
  { frameMs, jitterMs = 60, audioGapMs = 50 }: ContinuityLimits,
): string[] {
  return [
    ...(startsWithKeyFrame ? [] : ['video does not start with a key frame']),
    ...decodeErrors.map((error) => `decoder: ${error}`),
    ...trackBreaks('video', video, 2 * frameMs + jitterMs),
    ...trackBreaks('audio', audio, audioGapMs),
  ];
}

function trackBreaks(name: string, { count, stepsBack, largestGap, largestGapAt }: Track, gapMs: number): string[] {
  return [
    ...(count === 0 ? [`no ${name}`] : []),
    ...stepsBack.map((step) => `${name} timestamps go back: ${step}`),
    ...(largestGap > gapMs ? [`${name} gap of ${largestGap} ms at ${largestGapAt} ms`] : []),
  ];
}

/** What a viewer sees and hears in one second. */
export interface Second {
  /** Mean luma, 0 to 255; NaN without a frame. */
  readonly brightness: number;
  /** Whether frames differ in their mean luma. */
  readonly changes: boolean;
  /** dBFS; -120 is silence. */
  readonly level: number;
}

/** Each whole second of a recording. */
export function secondsOf({ frames, video, audio, level }: Recording): Second[] {
  return Array.from({ length: Math.floor(Math.max(video.last, audio.last) / 1000) }, (_, second) => {
    const from = second * 1000;
    const seen = frames.filter(({ time }) => time >= from && time < from + 1000).map(({ brightness }) => brightness);
    return {
      brightness: seen.reduce((sum, value) => sum + value, 0) / seen.length,
      changes: new Set(seen).size > 1,
      level: level(from, from + 1000),
    };
  });
}
