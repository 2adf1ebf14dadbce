import { MAX_SUPERFRAME_FRAMES, Vp9Layers, vp9Superframe } from '../codecs/vp9-layers.ts';
import { parseVp9Header } from '../codecs/vpx.ts';
import { Depacketizer, type FrameContent, type Place } from './depacketizer.ts';
import type { VideoFrame } from './video-frame.ts';

interface Vp9Descriptor {
  readonly bytes: number;
  readonly startsFrame: boolean;
  readonly endsFrame: boolean;
  readonly spatialLayer: number;
}

/** The frame of one spatial layer. */
interface LayerFrame {
  readonly layer: number;
  readonly parts: Buffer[];
  ended: boolean;
}

/**
 * VP9 from RTP (RFC 9628), flexible and non-flexible mode. Of several spatial layers, the highest one that the last key
 * frame has is shown, so that the frame size stays constant until the next one; the lower ones, to which it refers, are
 * hidden frames. Where its frame is left out, the lower ones wait for its next one. Higher layers wait for a key frame.
 */
export class Vp9Depacketizer extends Depacketizer<VideoFrame> {
  #frames: LayerFrame[] = [];
  #shownLayer = 0;
  /** Follows the frames since the last key frame, if it has more than one layer. */
  #layers = new Vp9Layers();
  /** Hidden frames since the last one that was shown. */
  #hidden: Buffer[] = [];

  /** Higher layers may follow the one that has ended. */
  protected override placeOf(payload: Buffer): Place {
    const { startsFrame, spatialLayer } = parseDescriptor(payload);
    return startsFrame && spatialLayer === 0 && (this.#ended || this.isDamaged) ? 'begins' : 'either';
  }

  protected override get isOpen(): boolean {
    return this.#frames.length > 0 && !this.#ended;
  }

  protected override get endIsKnown(): boolean {
    return true;
  }

  get #ended(): boolean {
    return this.#frames.at(-1)?.ended === true;
  }

  protected override add(payload: Buffer): boolean {
    const { bytes, startsFrame, endsFrame, spatialLayer } = parseDescriptor(payload);
    if (bytes >= payload.length) return false;
    let frame = this.#frames.at(-1);
    if (startsFrame) {
      if (frame && (!frame.ended || spatialLayer <= frame.layer)) return false;
      frame = { layer: spatialLayer, parts: [], ended: false };
      this.#frames.push(frame);
    } else if (!frame || frame.ended || frame.layer !== spatialLayer) return false;
    frame.parts.push(payload.subarray(bytes));
    frame.ended = endsFrame;
    return true;
  }

  protected override complete(): FrameContent<VideoFrame> | undefined | false {
    if (this.#frames.length === 0) return undefined;
    if (!this.#ended) return false;
    const frames = this.#frames.map(({ layer, parts }) => ({
      layer,
      data: parts.length === 1 ? parts[0]! : Buffer.concat(parts),
    }));
    try {
      const { keyFrame, format } = parseVp9Header(frames[0]!.data);
      if (keyFrame) {
        this.#shownLayer = frames.at(-1)!.layer;
        this.#layers = new Vp9Layers();
        this.#hidden = [];
      }
      if (this.#shownLayer > 0) return this.#join(frames, keyFrame);
      const { layer, data } = frames[0]!;
      return layer === 0 && { data, keyFrame, ...(format && { width: format.width, height: format.height }) };
    } catch {
      return false;
    }
  }

  /** @throws {RangeError} if a header is invalid */
  #join(
    frames: readonly { readonly layer: number; readonly data: Buffer }[],
    keyFrame: boolean,
  ): FrameContent<VideoFrame> | undefined {
    for (const { layer, data } of frames) {
      if (this.#hidden.length >= MAX_SUPERFRAME_FRAMES) break;
      if (layer === this.#shownLayer) {
        const size = this.#layers.follow(data);
        const shown = vp9Superframe([...this.#hidden, data]);
        this.#hidden = [];
        return { data: shown, keyFrame, ...(keyFrame && size) };
      }
      const hidden = this.#layers.hide(data);
      if (hidden) this.#hidden.push(hidden);
    }
    if (this.#hidden.length < MAX_SUPERFRAME_FRAMES) return undefined;
    // The layer has ended: a key frame shows which one is the highest now.
    this.#hidden = [];
    this.missesFrames();
    return { data: frames[0]!.data, keyFrame: false };
  }

  protected override clear(): void {
    this.#frames = [];
  }
}

/** RFC 9628, 4.2. */
function parseDescriptor(payload: Buffer): Vp9Descriptor {
  let offset = 0;
  const next = (): number => payload[offset++] ?? 0;
  const first = next();
  const hasPictureId = (first & 0x80) !== 0;
  const interFrame = (first & 0x40) !== 0;
  const hasLayers = (first & 0x20) !== 0;
  const flexible = (first & 0x10) !== 0;
  const hasScalability = (first & 0x02) !== 0;
  let spatialLayer = 0;
  if (hasPictureId && next() & 0x80) next();
  if (hasLayers) {
    spatialLayer = (next() >> 1) & 0x07;
    if (!flexible) next(); // TL0PICIDX
  }
  // Up to three reference differences; the lowest bit says whether another one follows.
  if (flexible && interFrame) for (let i = 0; i < 3 && next() & 1; i++);
  if (hasScalability) {
    const structure = next();
    if (structure & 0x10) offset += 4 * ((structure >> 5) + 1); // width and height of every spatial layer
    if (structure & 0x08) {
      for (let frames = next(); frames > 0; frames--) {
        const references = (next() >> 2) & 0x03;
        offset += references;
      }
    }
  }
  return { bytes: offset, startsFrame: (first & 0x08) !== 0, endsFrame: (first & 0x04) !== 0, spatialLayer };
}
