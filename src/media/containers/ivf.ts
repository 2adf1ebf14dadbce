/**
 * IVF, a minimal container for VP8, VP9 and AV1: a header, then every frame after its length and time. Read by ffmpeg
 * without probing.
 */

export type IvfFourcc = 'VP80' | 'VP90' | 'AV01';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 12;
/** VP9 and AV1 can say one pixel more than the header. */
const MAX_SIDE = 0xffff;

/**
 * The frames of a whole IVF stream. A last one that is cut off is left out.
 *
 * @throws {RangeError} if it is not IVF
 */
export function ivfFrames(bytes: Buffer): Buffer[] {
  if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, 4) !== 'DKIF') throw new RangeError('not IVF');
  const frames: Buffer[] = [];
  for (let at = bytes.readUInt16LE(6); at + FRAME_HEADER_BYTES <= bytes.length;) {
    const start = at + FRAME_HEADER_BYTES;
    at = start + bytes.readUInt32LE(at);
    if (at <= bytes.length) frames.push(bytes.subarray(start, at));
  }
  return frames;
}

export interface IvfHeader {
  readonly fourcc: IvfFourcc;
  /** Pixels; a hint, since every key frame has its own size. */
  readonly width: number;
  readonly height: number;
  /** What a frame's time counts: `[1, 1000]` for milliseconds. */
  readonly timebase: readonly [numerator: number, denominator: number];
}

export function ivfHeader(header: IvfHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write('DKIF', 0, 'latin1');
  bytes.writeUInt16LE(HEADER_BYTES, 6);
  bytes.write(header.fourcc, 8, 'latin1');
  bytes.writeUInt16LE(Math.min(header.width, MAX_SIDE), 12);
  bytes.writeUInt16LE(Math.min(header.height, MAX_SIDE), 14);
  bytes.writeUInt32LE(header.timebase[1], 16);
  bytes.writeUInt32LE(header.timebase[0], 20);
  return bytes;
}

/**
 * The header of a frame, without the frame's bytes, which then need no copy. The time is a whole number of the header's
 * time base.
 */
export function ivfFrameHeader(frameBytes: number, timestamp: number): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  bytes.writeUInt32LE(frameBytes, 0);
  bytes.writeUInt32LE(timestamp >>> 0, 4);
  bytes.writeUInt32LE(Math.floor(timestamp / 2 ** 32), 8);
  return bytes;
}
