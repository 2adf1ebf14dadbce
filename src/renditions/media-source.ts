import type { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';
import type { GroupFrame } from './group-of-frames.ts';
import type { FlvTag, StreamMetadata } from '../media/containers/flv-tag.ts';
import type { FrameSize, VideoCodec } from '../streams/live-stream.ts';

/** The codecs that must be encoded again, as IVF names them. */
export const FOURCC = { vp8: 'VP80', vp9: 'VP90', av1: 'AV01' } as const satisfies Record<
  Exclude<VideoCodec, 'h264'>,
  string
>;

/** A frame that must be encoded again, on the stream's clock. */
export interface SourceFrame {
  readonly codec: Exclude<VideoCodec, 'h264'>;
  readonly data: Buffer;
  /** Milliseconds. */
  readonly timestamp: number;
  readonly keyFrame: boolean;
}

/** A key frame with what a decoder needs to decode it alone. */
export interface KeyFrame {
  readonly codec: VideoCodec;
  readonly size: FrameSize;
  /** H.264: the body of its video tag; other codecs: the frame as IVF contains it. */
  readonly data: Buffer;
  /** H.264: the body of the sequence header. */
  readonly header?: Buffer;
  /** When it arrived, on the clock of `tickMs`. */
  readonly arrivedMs: number;
}

export interface MediaSourceEvents {
  /** An audio frame. */
  audio: [tag: FlvTag];
  /**
   * The same for outputs that need not be in time: late audio is waited for, so that audio of a stall that arrives
   * afterwards is complete.
   */
  completeAudio: [tag: FlvTag];
  /** H.264: a frame, or a sequence header that has changed. */
  video: [tag: FlvTag];
  /** A frame of another codec. */
  frame: [frame: SourceFrame];
  /** `metadata` contains the first or a different frame size. */
  sized: [];
  /**
   * Another publisher, or the same one after a loss, continues the stream. What follows does not refer to what came
   * before, and `videoCodec` may have changed: to another codec, or to none.
   */
  resumed: [];
  /** The stream cannot be used; nothing follows. */
  failed: [error: GatewayError];
}

/** A live stream as renditions read it: audio encoded, video as the publisher sends it, both on one clock. */
export interface MediaSource extends EventEmitter<MediaSourceEvents> {
  /** As far as known. */
  readonly metadata: StreamMetadata;
  /**
   * The current sequence headers. Video: `undefined` before the first H.264 key frame. Audio: `undefined` for codecs
   * without one.
   */
  readonly videoHeader: FlvTag | undefined;
  readonly audioHeader: FlvTag | undefined;
  /** `undefined`: the stream has no video. */
  readonly videoCodec: VideoCodec | undefined;
  /** Frames per second, once enough have come. */
  readonly frameRate?: number | undefined;
  /** The frames since the last key frame, while they are kept: for renditions that begin now. */
  recentFrames?(): readonly GroupFrame[];
  requestKeyFrame(): void;
}
