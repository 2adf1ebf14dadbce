import { GatewayError } from '../errors.ts';
import type { FrameSize } from '../streams/live-stream.ts';

/**
 * Codecs code whole blocks: a frame of 1080 lines has 1088 in H.264. Interlaced H.264 rounds up to 32 pixels, VP9 and
 * AV1 to 64.
 */
const LARGEST_BLOCK = 64;

const roundedUp = (pixels: number): number => Math.ceil(pixels / LARGEST_BLOCK) * LARGEST_BLOCK;

/** Whether a frame is within the limit, upright or turned by 90 degrees. */
export function isWithin({ width, height }: FrameSize, limit: FrameSize): boolean {
  return (
    Math.max(width, height) <= Math.max(limit.width, limit.height) &&
    Math.min(width, height) <= Math.min(limit.width, limit.height)
  );
}

/** The same for a frame's size before cropping, which a decoder allocates. */
export function isCodedWithin(coded: FrameSize, limit: FrameSize): boolean {
  return isWithin(coded, { width: roundedUp(limit.width), height: roundedUp(limit.height) });
}

/**
 * The number of pixels that a decoder may allocate for one frame. Covers frames whose size is not in a key frame's
 * header.
 */
export function decoderPixels(limit: FrameSize): number {
  return roundedUp(limit.width) * roundedUp(limit.height);
}

export function frameTooLarge({ width, height }: FrameSize, limit: FrameSize): GatewayError {
  return new GatewayError(
    'FRAME_TOO_LARGE',
    `The publisher sends frames of ${width}x${height}, and at most ${limit.width}x${limit.height} are accepted (max_frame_size).`,
  );
}

/** 4K in the shape of cinema and of television, upright too. */
export const DEFAULT_MAX_FRAME_SIZE: FrameSize = { width: 4096, height: 2304 };
