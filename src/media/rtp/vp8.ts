import { Depacketizer, type FrameContent, type Place } from './depacketizer.ts';
import type { VideoFrame } from './video-frame.ts';

/** VP8 from RTP (RFC 7741). All temporal layers are used; VP8 has no spatial ones. */
export class Vp8Depacketizer extends Depacketizer<VideoFrame> {
  #parts: Buffer[] = [];

  protected override placeOf(payload: Buffer): Place {
    return parseDescriptor(payload).startsFrame ? 'begins' : 'continues';
  }

  protected override get isOpen(): boolean {
    return false;
  }

  /** Nothing in a packet says that it is the last one. */
  protected override get endIsKnown(): boolean {
    return this.#parts.length === 0;
  }

  protected override add(payload: Buffer): boolean {
    const descriptor = parseDescriptor(payload);
    if (descriptor.bytes >= payload.length) return false;
    // A frame begins with the start of partition 0, and only there.
    if (descriptor.startsFrame !== (this.#parts.length === 0)) return false;
    this.#parts.push(payload.subarray(descriptor.bytes));
    return true;
  }

  protected override complete(): FrameContent<VideoFrame> | undefined | false {
    if (this.#parts.length === 0) return undefined;
    const data = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    // Frame tag and key frame header: RFC 6386, 9.1.
    if (data[0]! & 1) return { data, keyFrame: false };
    if (data.length < 10 || data.readUIntBE(3, 3) !== 0x9d012a) return false;
    return { data, keyFrame: true, width: data.readUInt16LE(6) & 0x3fff, height: data.readUInt16LE(8) & 0x3fff };
  }

  protected override clear(): void {
    this.#parts = [];
  }
}

/** RFC 7741, 4.2. */
function parseDescriptor(payload: Buffer): { bytes: number; startsFrame: boolean } {
  const first = payload[0]!;
  const startsFrame = (first & 0x10) !== 0 && (first & 0x07) === 0;
  if (!(first & 0x80)) return { bytes: 1, startsFrame };
  const extension = payload[1] ?? 0;
  let bytes = 2;
  if (extension & 0x80) bytes += (payload[bytes] ?? 0) & 0x80 ? 2 : 1; // PictureID
  if (extension & 0x40) bytes += 1; // TL0PICIDX
  if (extension & 0x30) bytes += 1; // TID, Y, KEYIDX
  return { bytes, startsFrame };
}
