import { opusHead } from '../codecs/opus-packet.ts';

const PAGE_HEADER_BYTES = 27;
const CRC_OFFSET = 22;
/** "OggS". */
const CAPTURE_PATTERN = 0x4f676753;
const FIRST_PAGE = 0x02;
/** Segments of 255 bytes that a page has at most. */
export const OGG_PAGE_SEGMENTS = 255;

/**
 * How many segments of a page a packet takes: full ones of 255 bytes, and a shorter last one, even if that is empty.
 */
export function oggSegments(packet: Buffer): number {
  return Math.floor(packet.length / 255) + 1;
}

/**
 * Opus packets as an Ogg stream (RFC 3533, RFC 7845). Packets end with their page, so that a reader can decode each one
 * at once. Ogg cannot express holes: the writer must fill them.
 */
export class OggOpusWriter {
  readonly #serial: number;
  #sequence = 0;

  /** @param serial distinguishes streams in one file; any number is valid */
  constructor(serial = 1) {
    this.#serial = serial;
  }

  /**
   * The two pages that begin the stream: OpusHead with no pre-skip, since a live stream is not cut to the sample, and
   * OpusTags.
   */
  header(channels: 1 | 2): Buffer {
    const tags = Buffer.alloc(16);
    tags.write('OpusTags', 0, 'latin1');
    return Buffer.concat([this.#page([opusHead(channels)], 0, FIRST_PAGE), this.#page([tags], 0, 0)]);
  }

  /**
   * The page of some packets.
   *
   * @param granule samples at 48 kHz from the beginning of the stream to the end of the last packet
   * @throws {RangeError} when they have more than 255 segments together: see {@link oggSegments}
   */
  page(packets: readonly Buffer[], granule: number): Buffer {
    return this.#page(packets, granule, 0);
  }

  #page(packets: readonly Buffer[], granule: number, flags: number): Buffer {
    let segments = 0;
    let bytes = 0;
    for (const packet of packets) {
      segments += oggSegments(packet);
      bytes += packet.length;
    }
    if (segments > OGG_PAGE_SEGMENTS)
      throw new RangeError(`${packets.length} Opus packets of ${bytes} bytes do not fit into an Ogg page`);
    const page = Buffer.allocUnsafe(PAGE_HEADER_BYTES + segments + bytes);
    page.writeUInt32BE(CAPTURE_PATTERN, 0);
    page[4] = 0; // version
    page[5] = flags;
    page.writeUInt32LE(granule >>> 0, 6);
    page.writeUInt32LE(Math.floor(granule / 2 ** 32), 10);
    page.writeUInt32LE(this.#serial, 14);
    page.writeUInt32LE(this.#sequence++ >>> 0, 18);
    page.writeUInt32LE(0, CRC_OFFSET);
    page[26] = segments;
    let lacing = PAGE_HEADER_BYTES;
    let body = PAGE_HEADER_BYTES + segments;
    for (const packet of packets) {
      const last = lacing + oggSegments(packet) - 1;
      page.fill(255, lacing, last);
      page[last] = packet.length % 255;
      lacing = last + 1;
      packet.copy(page, body);
      body += packet.length;
    }
    page.writeUInt32LE(crc(page), CRC_OFFSET);
    return page;
  }
}

/** Ogg's CRC-32: polynomial 04C11DB7, not reflected, from 0, not inverted (RFC 3533, 6). */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte << 24;
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 0x80000000 ? (remainder << 1) ^ 0x04c11db7 : remainder << 1;
  return remainder;
});

function crc(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum = (sum << 8) ^ CRC_TABLE[(sum >>> 24) ^ bytes[i]!]!;
  return sum >>> 0;
}

/** Of the pages that a stream begins with: OpusHead and OpusTags. */
const HEADER_PACKETS = 2;

/**
 * The Opus packets of a whole Ogg stream.
 *
 * @throws {RangeError} if it is damaged
 */
export function oggOpusPackets(bytes: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  let parts: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes.length < at + PAGE_HEADER_BYTES || bytes.readUInt32BE(at) !== CAPTURE_PATTERN)
      throw new RangeError('not an Ogg page');
    const segments = bytes.subarray(at + PAGE_HEADER_BYTES, at + PAGE_HEADER_BYTES + bytes[at + 26]!);
    at += PAGE_HEADER_BYTES + segments.length;
    for (const length of segments) {
      parts.push(bytes.subarray(at, at + length));
      at += length;
      if (length === 255) continue;
      packets.push(Buffer.concat(parts));
      parts = [];
    }
    if (at > bytes.length) throw new RangeError('an Ogg page is cut off');
  }
  return packets.slice(HEADER_PACKETS);
}
