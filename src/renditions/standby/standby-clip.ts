import type { ForeignVideoCodec } from '../../media/containers/enhanced-tag.ts';
import type { SampleAspect } from '../../media/codecs/avc.ts';
import type { VideoOutput } from '../../ffmpeg/ffmpeg-args.ts';

/**
 * Where the frames of a standby clip come from. Files are names in `media_dir`. The borders of an image or a video, and
 * what is transparent in an image, have the given color (default: black).
 */
export type StandbyPicture =
  | { readonly source: 'image'; readonly file: string; readonly color?: string; readonly text?: string }
  | { readonly source: 'video'; readonly file: string; readonly color?: string; readonly text?: string }
  /** `color`: `#rrggbb`. */
  | { readonly source: 'color'; readonly color: string; readonly text?: string };

/** What the frames of a standby clip must match. */
export interface StandbyFormat {
  readonly width: number;
  readonly height: number;
  /** Unless samples are square. */
  readonly sampleAspect?: SampleAspect;
  readonly fps: number;
  /** Milliseconds between key frames. */
  readonly keyFrameIntervalMs: number;
  /** Set where the clip replaces frames of a video encoder: it is encoded with the same settings. */
  readonly encoder?: StandbyEncoder;
  /** Unset: H.264. */
  readonly codec?: ForeignVideoCodec;
}

/** A video encoder whose parameter sets a clip shares, so that a switch needs no sequence header. */
export interface StandbyEncoder {
  readonly output: VideoOutput;
  /**
   * Body of the FLV tag of its sequence header, once it has encoded: the clip takes over the colours and the timing,
   * which the encoder has from its source.
   */
  readonly header?: Buffer;
}

/** One encoded frame of a clip. */
export interface StandbyFrame {
  /** Body of an FLV video tag. H.264: NAL units, length-prefixed; a key frame carries its SPS and PPS in band. */
  readonly data: Buffer;
  readonly keyFrame: boolean;
}

/** Encoded frames that are sent in a loop while the live video is away. Encoded once, kept in memory. */
export interface StandbyClip {
  readonly format: StandbyFormat;
  /** Body of the FLV tag of the sequence header. */
  readonly header: Buffer;
  /** At least one; the first is a key frame. There are no B-frames: decoding order is presentation order. */
  readonly frames: readonly StandbyFrame[];
}

/** Encodes clips in the background and shares them. */
export interface StandbyClipSource {
  /**
   * The clip of a picture in a format. The same picture and format are encoded once, also for simultaneous callers.
   *
   * @throws {GatewayError} STANDBY_FILE_NOT_FOUND, STANDBY_FILE_INVALID or ENCODER_FAILED; LIMIT_REACHED if too many clips wait
   */
  clip(picture: StandbyPicture, format: StandbyFormat): Promise<StandbyClip>;
  /**
   * Checks the file of a picture without encoding it.
   *
   * @throws {GatewayError} STANDBY_FILE_NOT_FOUND or STANDBY_FILE_INVALID
   */
  check(picture: StandbyPicture): Promise<void>;
}

/** Makes frames that repeat the last one, for a decoder that has received `last` and everything before it. */
export interface FreezeFrames {
  /** The body of the next FLV video tag: a P-frame all of whose macroblocks are skipped. */
  next(): Buffer;
}
