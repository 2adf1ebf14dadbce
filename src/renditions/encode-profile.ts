import type { RtmpAudioCodec, VideoOutput } from '../ffmpeg/ffmpeg-args.ts';

export type { RtmpAudioCodec };

/** What is asked of the encoder. Equal profiles of one stream share one encoder. */
export interface EncodeProfile {
  /** Pixels; unset: the source's. */
  readonly height?: number;
  /** Set only where the aspect ratio is not kept. */
  readonly width?: number;
  /** Frames per second, constant. */
  readonly fps?: number;
  /** Frames. */
  readonly keyFrameInterval?: number;
  readonly audioCodec: RtmpAudioCodec;
}

export interface VideoWish {
  readonly width?: number;
  readonly height?: number;
  readonly fps?: number;
  readonly keyFrameInterval?: number;
}

/**
 * The rules of the WCS documentation ("Stream transcoding while republishing"): `height` (not 0), `fps` or
 * `keyFrameInterval` ask for transcoding; `width` counts only together with `height` and where the aspect ratio is not kept.
 */
export function encodeProfile(
  wish: VideoWish,
  preserveAspectRatio: boolean,
  audioCodec: RtmpAudioCodec,
): EncodeProfile {
  return {
    ...(wish.height ? { height: even(wish.height) } : {}),
    ...(wish.height && wish.width && !preserveAspectRatio ? { width: even(wish.width) } : {}),
    ...(wish.fps ? { fps: wish.fps } : {}),
    ...(wish.keyFrameInterval ? { keyFrameInterval: wish.keyFrameInterval } : {}),
    audioCodec,
  };
}

/** Whether the profile itself asks for a video encoder (a source that is not H.264 needs one in any case). */
export function asksForTranscoding(profile: EncodeProfile): boolean {
  return profile.height !== undefined || profile.fps !== undefined || profile.keyFrameInterval !== undefined;
}

export function videoKey({ height, width, fps, keyFrameInterval }: EncodeProfile): string {
  return [height ?? '', width ?? '', fps ?? '', keyFrameInterval ?? ''].join('/');
}

/**
 * The fixed frame for a source of the given size (pixels).
 *
 * @param bitrate kilobits per second; 0: by height
 */
export function videoOutput(
  profile: EncodeProfile,
  source: { width: number; height: number },
  bitrate: number,
): VideoOutput {
  const height = profile.height ?? even(source.height);
  const width = profile.width ?? even((height * source.width) / source.height);
  return {
    width,
    height,
    stretch: profile.width !== undefined,
    ...(profile.fps ? { fps: profile.fps } : {}),
    ...(profile.keyFrameInterval ? { keyFrameInterval: profile.keyFrameInterval } : {}),
    bitrate: bitrate || bitrateForHeight(height, profile.fps ?? 30),
  };
}

/** What YouTube and Twitch recommend for H.264 at 30 frames per second, in kilobits per second; half as much again at 60. */
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

/** H.264 with 4:2:0 colour needs even sides. */
const even = (pixels: number): number => Math.max(2, Math.round(pixels / 2) * 2);
