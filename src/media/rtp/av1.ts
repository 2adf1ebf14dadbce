import { OBU_SEQUENCE_HEADER, OBU_TEMPORAL_DELIMITER, readLeb128, SequenceHeader } from '../codecs/av1.ts';
import { Depacketizer, type FrameContent, type Place } from './depacketizer.ts';
import type { VideoFrame } from './video-frame.ts';

const OBU_FRAME_HEADER = 3;
const OBU_TILE_GROUP = 4;
const OBU_FRAME = 6;
const OBU_REDUNDANT_FRAME_HEADER = 7;
const OBU_TILE_LIST = 8;
const OBU_PADDING = 15;
/** Bit N of the aggregation header: the first packet of a coded video sequence. */
const NEW_SEQUENCE = 0x08;
/** Bit Z: the first OBU began in the packet before. */
const CONTINUES = 0x80;
const HAS_EXTENSION = 0x04;
const HAS_SIZE = 0x02;
const TEMPORAL_DELIMITER = Buffer.of((OBU_TEMPORAL_DELIMITER << 3) | HAS_SIZE, 0);
/** Tiles and metadata of one frame; more than this is an attack on memory. */
const MAX_OBUS = 1024;

interface Obu {
  /** Its header with a size field. */
  readonly header: Buffer;
  readonly body: Buffer;
  /** Of OBUs that belong to one. */
  readonly spatialLayer: number | undefined;
  readonly sequence: SequenceHeader | undefined;
}

/**
 * AV1 from RTP (AOMedia, "RTP Payload Format for AV1" v1.0). Temporal units are returned in the low-overhead bitstream
 * format with their temporal delimiters. Of several spatial layers, the highest one that the last key frame has is shown,
 * so that the frame size stays constant until the next one. Higher layers wait for a key frame.
 */
export class Av1Depacketizer extends Depacketizer<VideoFrame> {
  #obus: Obu[] = [];
  /** An OBU that continues in the next packet. */
  #fragments: Buffer[] = [];
  #sequence: SequenceHeader | undefined;
  #keyFrame = false;
  #shownLayer = 0;

  /** Only what continues a frame is certain: a temporal unit may contain several. */
  protected override placeOf(payload: Buffer): Place {
    const header = payload[0]!;
    if (header & NEW_SEQUENCE) return 'begins';
    if (header & CONTINUES) return 'continues';
    const counted = ((header >> 4) & 0x03) === 1;
    const obu = payload[counted ? 1 : 1 + (readLeb128(payload, 1)?.bytes ?? 0)] ?? 0;
    const type = (obu >> 3) & 0x0f;
    if (type === OBU_SEQUENCE_HEADER) return 'begins';
    return type === OBU_TILE_GROUP || type === OBU_REDUNDANT_FRAME_HEADER ? 'continues' : 'either';
  }

  protected override get isOpen(): boolean {
    return this.#fragments.length > 0;
  }

  /** Nothing in a packet says that it is the last one. */
  protected override get endIsKnown(): boolean {
    return this.#obus.length === 0;
  }

  protected override add(payload: Buffer): boolean {
    const header = payload[0]!;
    const continues = (header & 0x80) !== 0;
    const toBeContinued = (header & 0x40) !== 0;
    const count = (header >> 4) & 0x03;
    if (continues !== this.#fragments.length > 0) return false;
    let offset = 1;
    for (let index = 1; offset < payload.length; index++) {
      // With a count, the last element has no length and extends to the end of the packet.
      let length = payload.length - offset;
      if (count === 0 || index < count) {
        const size = readLeb128(payload, offset);
        if (!size || size.value > payload.length - offset - size.bytes) return false;
        length = size.value;
        offset += size.bytes;
      }
      const element = payload.subarray(offset, offset + length);
      offset += length;
      const last = offset >= payload.length;
      if (count > 0 && last !== (index === count)) return false;
      this.#fragments.push(element);
      if (last && toBeContinued) return true;
      const obu = this.#fragments.length === 1 ? element : Buffer.concat(this.#fragments);
      this.#fragments = [];
      if (!this.#addObu(obu)) return false;
    }
    return true;
  }

  protected override complete(): FrameContent<VideoFrame> | undefined | false {
    if (this.#fragments.length > 0) return false;
    if (this.#obus.length === 0) return undefined;
    const highest = this.#obus.reduce((top, { spatialLayer = 0 }) => Math.max(top, spatialLayer), 0);
    if (this.#keyFrame) this.#shownLayer = highest;
    // The layer has ended: a key frame shows which one is the highest now.
    else if (highest < this.#shownLayer) this.missesFrames();
    const shown = this.#obus.filter(({ spatialLayer = 0 }) => spatialLayer <= this.#shownLayer);
    return {
      data: Buffer.concat([
        TEMPORAL_DELIMITER,
        ...shown.flatMap(({ header, body, sequence }) => [header, sequence?.upTo(this.#shownLayer) ?? body]),
      ]),
      keyFrame: this.#keyFrame,
      ...(this.#keyFrame && this.#sequence?.sizeOf(this.#shownLayer)),
    };
  }

  protected override clear(): void {
    this.#obus = [];
    this.#fragments = [];
    this.#sequence = undefined;
    this.#keyFrame = false;
  }

  /** Adds one OBU, which may have a size field. It is stored with one. */
  #addObu(obu: Buffer): boolean {
    if (obu.length === 0) return true;
    const header = obu[0]!;
    if (header & 0x80) return false;
    const type = (header >> 3) & 0x0f;
    let start = header & HAS_EXTENSION ? 2 : 1;
    if (start > obu.length) return false;
    let end = obu.length;
    if (header & HAS_SIZE) {
      const size = readLeb128(obu, start);
      if (!size || size.value > obu.length - start - size.bytes) return false;
      start += size.bytes;
      end = start + size.value;
    }
    if (type === OBU_TEMPORAL_DELIMITER || type === OBU_TILE_LIST || type === OBU_PADDING) return true;
    const body = obu.subarray(start, end);
    let sequence: SequenceHeader | undefined;
    if (type === OBU_SEQUENCE_HEADER)
      try {
        sequence = this.#sequence = new SequenceHeader(body);
      } catch {
        return false;
      }
    // A key frame at which a decoder can start comes with its sequence header; show_existing_frame is 0 and
    // frame_type is KEY_FRAME.
    if ((type === OBU_FRAME || type === OBU_FRAME_HEADER) && this.#sequence && body.length > 0 && body[0]! >> 5 === 0)
      this.#keyFrame = true;
    const spatialLayer = header & HAS_EXTENSION ? (obu[1]! >> 3) & 0x03 : undefined;
    this.#obus.push({ header: obuHeader(header, obu, body.length), body, spatialLayer, sequence });
    return this.#obus.length <= MAX_OBUS;
  }
}

function obuHeader(header: number, obu: Buffer, bodyBytes: number): Buffer {
  const bytes = [header | HAS_SIZE];
  if (header & HAS_EXTENSION) bytes.push(obu[1]!);
  let rest = bodyBytes;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
