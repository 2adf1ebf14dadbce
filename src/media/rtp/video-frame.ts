import type { Frame } from './depacketizer.ts';

/** One coded frame of VP8, VP9 or AV1, ready for an IVF file. */
export interface VideoFrame extends Frame {
  readonly data: Buffer;
  /** Pixels. Set for key frames. */
  readonly width?: number;
  readonly height?: number;
}
