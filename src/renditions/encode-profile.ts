import type { VideoOutput } from '../ffmpeg/ffmpeg-args.ts';
import type { ForeignVideoCodec } from '../media/containers/enhanced-tag.ts';
import type { RtmpAudioCodec } from '../ffmpeg/ffmpeg-audio-args.ts';

export type { RtmpAudioCodec };

/** Opus is passed through: only a publisher that sends it can be had in it. */
export type RenditionAudioCodec = RtmpAudioCodec | 'opus';

/** The requested encoding. Equal profiles of one stream share one encoder. */
export interface EncodeProfile {
  /** Pixels; unset: the source's. */
  readonly height?: number;
  /** Set only if the aspect ratio is not kept. */
  readonly width?: number;
  /** Frames per second, constant. */
  readonly fps?: number;
  /** Frames. */
  readonly keyFrameInterval?: number;
  /** Kilobits per second; unset: that of the settings. */
  readonly bitrate?: number;
  readonly audioCodec: RenditionAudioCodec;
  /** The codec besides H.264 whose video is passed through. What is above takes precedence. */
  readonly passes?: ForeignVideoCodec;
  /** Video of every codec is passed through, so that the rendition is never encoded. Contradicts what is above. */
  readonly original?: boolean;
}

export interface VideoRequest {
  readonly width?: number;
  readonly height?: number;
  readonly fps?: number;
  readonly keyFrameInterval?: number;
}

/**
 * The rules of the WCS documentation ("Stream transcoding while republishing"): `height` (not 0), `fps` or
 * `keyFrameInterval` request transcoding; `width` applies only together with `height` and if the aspect ratio is not
 * kept.
 */
export function encodeProfile(
  request: VideoRequest,
  preserveAspectRatio: boolean,
  audioCodec: RenditionAudioCodec,
  passes?: ForeignVideoCodec,
): EncodeProfile {
  return {
    ...(request.height ? { height: even(request.height) } : {}),
    ...(request.height && request.width && !preserveAspectRatio ? { width: even(request.width) } : {}),
    ...(request.fps ? { fps: request.fps } : {}),
    ...(request.keyFrameInterval ? { keyFrameInterval: request.keyFrameInterval } : {}),
    ...(passes && { passes }),
    audioCodec,
  };
}

/** Whether the profile itself requires a video encoder. A source that is not H.264 needs one in any case. */
export function asksForTranscoding(profile: EncodeProfile): boolean {
  return profile.height !== undefined || profile.fps !== undefined || profile.keyFrameInterval !== undefined;
}

export function videoKey(profile: EncodeProfile): string {
  const { height, width, fps, keyFrameInterval, bitrate, original, passes } = profile;
  if (original) return 'original';
  if (passes && !asksForTranscoding(profile)) return passes;
  return [height ?? '', width ?? '', fps ?? '', keyFrameInterval ?? '', bitrate ?? ''].join('/');
}

/** Frames per second of a source that is not known yet. */
export const USUAL_RATE = 30;
/** Rates that sources are set to, and those of displays. An encoder reckons with one of them. */
const RATES = [5, 10, 15, 20, 24, 25, 30, 50, 60, 75, 90, 100, 120, 144, 240];
/** Measured rates differ from those that are set by this share. */
const RATE_TOLERANCE = 0.08;

/** The rate that an encoder reckons with, for a source with so many frames per second. */
export const encoderRate = (measured: number): number =>
  RATES.find((rate) => rate * (1 + RATE_TOLERANCE) >= measured) ?? Math.ceil(measured);

/** Whether a source has more frames than its encoder reckons with. */
export const exceedsRate = (measured: number, rate: number): boolean => encoderRate(measured) > rate;

/**
 * The encoder's output for a source of the given size in square pixels.
 *
 * @param bitrate kilobits per second; 0: by height
 * @param sourceRate frames per second of the source
 */
export function videoOutput(
  profile: EncodeProfile,
  source: { width: number; height: number },
  bitrate: number,
  sourceRate = USUAL_RATE,
): VideoOutput {
  const rate = profile.fps ?? sourceRate;
  const height = profile.height ?? even(source.height);
  const width = profile.width ?? even((height * source.width) / source.height);
  return {
    width,
    height,
    stretch: profile.width !== undefined,
    ...(profile.fps ? { fps: profile.fps } : {}),
    rate,
    ...(profile.keyFrameInterval ? { keyFrameInterval: profile.keyFrameInterval } : {}),
    bitrate: profile.bitrate || bitrate || bitrateForHeight(height, rate),
  };
}

/**
 * Recommendations of YouTube and Twitch for H.264 at 30 frames per second, in kilobits per second; 1.5 times as much at
 * 60.
 */
const BITRATES: readonly (readonly [height: number, bitrate: number])[] = [
  [240, 400],
  [360, 800],
  [480, 1200],
  [720, 2500],
  [1080, 4500],
  [1440, 9000],
  [2160, 18_000],
];

export function bitrateForHeight(height: number, fps: number): number {
  const [, bitrate] = BITRATES.find(([limit]) => height <= limit) ?? BITRATES.at(-1)!;
  return fps > 40 ? bitrate * 1.5 : bitrate;
}

/** H.264 with 4:2:0 chroma needs even sides. */
export const even = (pixels: number): number => Math.max(2, Math.round(pixels / 2) * 2);
