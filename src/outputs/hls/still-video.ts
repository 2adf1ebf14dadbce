import { TAG_VIDEO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { freezeFrames } from '../../renditions/standby/freeze-frames.ts';
import type { FreezeFrames } from '../../renditions/standby/standby-clip.ts';

/** Bytes of a tag's body before the frame. */
const FRAME_AT = 5;

/**
 * Frames that take the place of those that a publisher does not send: the last frame is repeated, and each segment begins
 * with the last key frame. What follows must be a key frame.
 */
export class StillVideo {
  readonly #header: FlvTag;
  readonly #keyFrame: FlvTag;
  #frames: FreezeFrames | undefined;

  /**
   * @param header sequence header
   * @param keyFrame the last one
   * @param last the last frame, without the beginning of its tag's body
   */
  constructor(header: FlvTag, keyFrame: FlvTag, last: Buffer) {
    this.#header = header;
    this.#keyFrame = keyFrame;
    const body = Buffer.concat([keyFrame.data.subarray(0, FRAME_AT), last]);
    this.#frames = freezeFrames(header, { ...keyFrame, data: body });
  }

  /** @param begins it is the first frame of a segment */
  next(timestamp: number, begins: boolean): FlvTag {
    // Where frames cannot be repeated, with B-frames for instance, the key frame is.
    if (!begins && this.#frames)
      return { type: TAG_VIDEO, timestamp, data: this.#frames.next(), keyFrame: false, sequenceHeader: false };
    this.#frames = freezeFrames(this.#header, this.#keyFrame);
    return { ...this.#keyFrame, timestamp };
  }
}
