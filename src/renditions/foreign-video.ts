import { foreignVideoFrame, foreignVideoHeader } from '../media/containers/enhanced-tag.ts';
import type { FlvTag, StreamMetadata } from '../media/containers/flv-tag.ts';
import type { SourceFrame } from './media-source.ts';

/** Frames of codecs that FLV does not know as tags: each key frame has its sequence header before it, if that has changed. */
export class ForeignVideo {
  readonly #isSame: (one: FlvTag, other: FlvTag) => boolean;
  #header: FlvTag | undefined;

  /** @param isSame whether a sequence header need not follow another one */
  constructor(isSame: (one: FlvTag, other: FlvTag) => boolean) {
    this.#isSame = isSame;
  }

  /** The current sequence header. */
  get header(): FlvTag | undefined {
    return this.#header;
  }

  /**
   * The tags of a frame; none before the first key frame.
   *
   * @throws {RangeError} if a key frame is invalid
   */
  take({ codec, data, timestamp, keyFrame }: SourceFrame, { width = 0, height = 0 }: StreamMetadata): FlvTag[] {
    const tags: FlvTag[] = [];
    if (keyFrame) {
      const header = foreignVideoHeader(codec, data, timestamp, { width, height });
      if (!this.#header || !this.#isSame(header, this.#header)) tags.push(header);
      // It may have another frame size, although its bytes are the same.
      this.#header = header;
    }
    if (this.#header) tags.push(foreignVideoFrame(codec, data, timestamp, keyFrame));
    return tags;
  }

  /** The header is announced again with the next key frame. */
  reset(): void {
    this.#header = undefined;
  }
}

/** Whether what follows a sequence header can be decoded like what follows the other one. */
export const isSameFormat = (one: FlvTag, other: FlvTag | undefined): boolean =>
  other !== undefined &&
  one.data.equals(other.data) &&
  one.frameSize?.width === other.frameSize?.width &&
  one.frameSize?.height === other.frameSize?.height;
