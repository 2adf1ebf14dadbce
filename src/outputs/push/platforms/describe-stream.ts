import type { StreamMeasure } from '../../../media/stream-meter.ts';
import { profileName } from './rules.ts';
import { verdict } from './verdict.ts';
import type { Verdict } from '../../../views/push-view.ts';

/** What was measured, for checks that no rule of the platform covers. */
export function describeStream({ video, audio }: StreamMeasure): Verdict[] {
  const fact = (check: string, measured: string): Verdict => verdict(check, 'ok', measured);
  return [
    ...(video
      ? [
          fact('video', 'video'),
          fact('videoCodec', video.codec),
          fact('videoSize', video.width > 0 ? `${video.width}x${video.height}` : 'not known'),
          fact('frameRate', `${video.frameRate.toFixed(1)} fps`),
          fact('videoBitrate', `${video.bitrate.toFixed(0)} kbit/s (peak ${video.peakBitrate.toFixed(0)})`),
          fact('keyFrameInterval', `${(video.keyFrameIntervalMs / 1000).toFixed(1)} s`),
          ...(video.profile === undefined ? [] : [fact('videoProfile', profileName(video.profile))]),
          ...(video.level === undefined ? [] : [fact('videoLevel', (video.level / 10).toFixed(1))]),
          fact('bFrames', video.bFrames ? 'B-frames' : 'no B-frames'),
        ]
      : [fact('video', 'no video')]),
    ...(audio
      ? [
          fact('audio', 'audio'),
          fact('audioCodec', audio.codec),
          fact('audioSampleRate', audio.sampleRate > 0 ? `${audio.sampleRate} Hz` : 'not known'),
          fact('audioChannels', String(audio.channels)),
          fact('audioBitrate', `${audio.bitrate.toFixed(0)} kbit/s`),
        ]
      : [fact('audio', 'no audio')]),
  ];
}

/** Verdicts of rules, and facts for the checks that no rule covers. */
export function withFacts(judged: readonly Verdict[], measure: StreamMeasure): Verdict[] {
  const covered = new Set(judged.map(({ check }) => check));
  return [...judged, ...describeStream(measure).filter(({ check }) => !covered.has(check))];
}
