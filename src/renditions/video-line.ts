import { spsListOf } from '../media/codecs/avc-parameter-sets.ts';
import { avcFrame, avcSequenceHeader } from '../media/codecs/avc.ts';
import { TAG_VIDEO, type FlvTag } from '../media/containers/flv-tag.ts';
import { KeptBytes } from '../runtime/kept-bytes.ts';
import type { FrameSize } from '../streams/live-stream.ts';
import type { KeyFrame, SourceFrame } from './media-source.ts';
import type { ForeignFrame, H264Frame, InputFrame } from './video-source.ts';

export interface VideoLineHandlers {
  /** H.264: a frame, or a sequence header that has changed. */
  tag(tag: FlvTag): void;
  /** A frame of another codec. */
  frame(frame: SourceFrame): void;
  /** The size of the next frame; called for each key frame. */
  size(size: FrameSize): void;
}

/**
 * The video of a stream in one sequence, whichever sources its frames come from: times increase, and sequence headers
 * precede what they describe.
 */
export class VideoLine {
  readonly #handlers: VideoLineHandlers;
  #header: FlvTag | undefined;
  #lastMs = -Infinity;
  /** Without its bytes, which are kept apart: see {@link KeptBytes}. */
  #lastKeyFrame: Omit<KeyFrame, 'data'> | undefined;
  readonly #keyFrameBytes = new KeptBytes();

  constructor(handlers: VideoLineHandlers) {
    this.#handlers = handlers;
  }

  /** The current H.264 sequence header. */
  get header(): FlvTag | undefined {
    return this.#header;
  }

  /** A copy. */
  get lastKeyFrame(): KeyFrame | undefined {
    return this.#lastKeyFrame && { ...this.#lastKeyFrame, data: this.#keyFrameBytes.copies()[0]! };
  }

  take(frame: InputFrame, nowMs: number): void {
    if (frame.codec === 'h264') this.#takeH264(frame, nowMs);
    else this.#takeForeign(frame, nowMs);
  }

  /** Frames of another codec follow: the header is announced again should H.264 return. */
  changeCodec(): void {
    this.#header = undefined;
    this.#lastKeyFrame = undefined;
  }

  #takeH264({ streamMs, presentMs, keyFrame, parameterSets, size, nalUnits }: H264Frame, nowMs: number): void {
    const timestamp = this.#timestamp(streamMs);
    if (size) this.#handlers.size(size);
    if (parameterSets) {
      const header = avcSequenceHeader(parameterSets.sps, parameterSets.pps, spsListOf(parameterSets));
      if (!this.#header?.data.equals(header)) {
        this.#header = { type: TAG_VIDEO, timestamp, data: header, keyFrame: false, sequenceHeader: true };
        this.#handlers.tag(this.#header);
      }
    }
    if (!this.#header) return;
    const data = avcFrame(nalUnits, keyFrame, presentMs === undefined ? 0 : Math.round(presentMs) - timestamp);
    if (keyFrame && size) this.#keep({ codec: 'h264', size, header: this.#header.data, arrivedMs: nowMs }, data);
    this.#handlers.tag({ type: TAG_VIDEO, timestamp, data, keyFrame, sequenceHeader: false });
  }

  #takeForeign({ codec, streamMs, keyFrame, size, data }: ForeignFrame, nowMs: number): void {
    if (size) {
      this.#handlers.size(size);
      this.#keep({ codec, size, arrivedMs: nowMs }, data);
    }
    this.#handlers.frame({ codec, data, timestamp: this.#timestamp(streamMs), keyFrame });
  }

  #keep(keyFrame: Omit<KeyFrame, 'data'>, data: Buffer): void {
    this.#lastKeyFrame = keyFrame;
    this.#keyFrameBytes.clear();
    this.#keyFrameBytes.push(data);
  }

  /** Whole milliseconds, each larger than the last: some servers take a repeated timestamp for a repeated frame. */
  #timestamp(streamMs: number): number {
    this.#lastMs = Math.max(Math.round(streamMs), this.#lastMs + 1);
    return this.#lastMs;
  }
}
