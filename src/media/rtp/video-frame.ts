import type { Picture } from './depacketizer.ts';

/** One coded picture of VP8, VP9 or AV1, ready for an IVF file. */
export interface VideoFrame extends Picture {
  readonly data: Buffer;
  /** Pixels; known of key frames. */
  readonly width?: number;
  readonly height?: number;
}
