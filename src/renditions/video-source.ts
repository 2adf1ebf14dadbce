import type { NalUnit, ParameterSets } from '../media/rtp/h264.ts';
import type { FrameSize, VideoCodec } from '../streams/live-stream.ts';
import type { GatewayError } from '../errors.ts';

interface InputFrameBase {
  /** Milliseconds on the stream's clock, at which it is decoded. */
  readonly streamMs: number;
  /** When it is shown, if frames are not shown in the order of decoding. */
  readonly presentMs?: number;
  /** A decoder can start here. */
  readonly keyFrame: boolean;
  /** Set for key frames. */
  readonly size?: FrameSize;
}

/** One H.264 access unit. */
export interface H264Frame extends InputFrameBase {
  readonly codec: 'h264';
  readonly nalUnits: readonly NalUnit[];
  /** Set for key frames: in force from this frame on. */
  readonly parameterSets?: ParameterSets;
}

/** One frame of a codec that RTMP does not carry: it must be encoded again. */
export interface ForeignFrame extends InputFrameBase {
  readonly codec: Exclude<VideoCodec, 'h264'>;
  readonly data: Buffer;
}

export type InputFrame = H264Frame | ForeignFrame;

/** Takes the frames of a {@link VideoSource}. */
export interface VideoSink {
  /** The next frame in decoding order. All frames that it refers to have been passed on. */
  frame(frame: InputFrame, nowMs: number): void;
  /** Frames are missing: no frame follows until the next key frame. */
  keyFrameNeeded(nowMs: number): void;
  /** The frames cannot be accepted; they are dropped until an acceptable key frame arrives. */
  refused(error: GatewayError): void;
}

/**
 * Where the frames of a stream come from: its publisher's video track now, and a standby file later. A stream replaces
 * its source without ending: the next source starts with a key frame and may have another codec and size.
 */
export interface VideoSource {
  readonly codec: VideoCodec;
  /** Why packets have become no frame for some time, for people. `undefined`: frames come, or no packets do. */
  readonly unusable: string | undefined;
  requestKeyFrame(): void;
  /** Handles what has become due, such as a missing packet that is no longer waited for. Called regularly. */
  poll(nowMs: number): void;
  /** Nothing is passed to the sink afterwards. Idempotent. */
  close(): void;
}
