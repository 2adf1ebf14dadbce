import { parseVp9Header } from '../codecs/vpx.ts';
import { Depacketizer, type FrameContent, type Place } from './depacketizer.ts';
import type { VideoFrame } from './video-frame.ts';

interface Vp9Descriptor {
  readonly bytes: number;
  readonly startsFrame: boolean;
  readonly endsFrame: boolean;
  readonly spatialLayer: number;
}

/**
 * VP9 from RTP (RFC 9628), flexible and non-flexible mode. Only the first spatial layer is used, which depends on no
 * other.
 */
export class Vp9Depacketizer extends Depacketizer<VideoFrame> {
  #parts: Buffer[] = [];
  #ended = false;

  /** Higher layers may follow the one that is used. */
  protected override placeOf(payload: Buffer): Place {
    const { startsFrame, spatialLayer } = parseDescriptor(payload);
    return startsFrame && spatialLayer === 0 && (this.#ended || this.isDamaged) ? 'begins' : 'either';
  }

  protected override get isOpen(): boolean {
    return this.#parts.length > 0 && !this.#ended;
  }

  protected override get endIsKnown(): boolean {
    return true;
  }

  protected override add(payload: Buffer): boolean {
    const descriptor = parseDescriptor(payload);
    if (descriptor.bytes >= payload.length) return false;
    if (descriptor.spatialLayer > 0) return true;
    if (this.#ended || descriptor.startsFrame !== (this.#parts.length === 0)) return false;
    this.#parts.push(payload.subarray(descriptor.bytes));
    this.#ended = descriptor.endsFrame;
    return true;
  }

  protected override complete(): FrameContent<VideoFrame> | undefined | false {
    if (this.#parts.length === 0) return undefined;
    if (!this.#ended) return false;
    const data = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    try {
      const { keyFrame, format } = parseVp9Header(data);
      return { data, keyFrame, ...(format && { width: format.width, height: format.height }) };
    } catch {
      return false;
    }
  }

  protected override clear(): void {
    this.#parts = [];
    this.#ended = false;
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
