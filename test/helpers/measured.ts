import type { StreamMeasure } from '../../src/media/stream-meter.ts';

/** A stream that keeps the rules of all platforms, with changes. */
export function measured(
  video: Partial<NonNullable<StreamMeasure['video']>> = {},
  audio: Partial<NonNullable<StreamMeasure['audio']>> = {},
): StreamMeasure {
  return {
    windowMs: 10_000,
    video: {
      codec: 'h264',
      width: 1280,
      height: 720,
      frameRate: 30.1,
      bitrate: 3500,
      peakBitrate: 3600,
      keyFrameIntervalMs: 2000,
      profile: 66,
      compatibility: 0xe0,
      level: 31,
      bFrames: false,
      ...video,
    },
    audio: { codec: 'aac', sampleRate: 48_000, channels: 2, bitrate: 128, ...audio },
  };
}
