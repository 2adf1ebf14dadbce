import { OPUS_SAMPLE_RATE } from './opus-packet.ts';

const PAGE_HEADER_BYTES = 27;
const CRC_OFFSET = 22;
const FIRST_PAGE = 0x02;
/** Longer packets would need a second page; the longest that Opus allows over RTP is a third of it. */
const MAX_PACKET_BYTES = 255 * 255 - 1;

/**
 * Opus packets as an Ogg stream (RFC 3533, RFC 7845), one packet a page, so that a reader can decode each one at once. Holes are not
 * told by Ogg: who writes fills them.
 */
export class OggOpusWriter {
  readonly #serial: number;
  #sequence = 0;

  /** @param serial tells streams in one file apart; any number does */
  constructor(serial = 1) {
    this.#serial = serial;
  }

  /** The two pages that begin the stream: OpusHead with no pre-skip, since a live stream is not cut to the sample, and OpusTags. */
  header(channels: 1 | 2): Buffer {
    const head = Buffer.alloc(19);
    head.write('OpusHead', 0, 'latin1');
    head[8] = 1; // version
    head[9] = channels;
    head.writeUInt32LE(OPUS_SAMPLE_RATE, 12);
    const tags = Buffer.alloc(16);
    tags.write('OpusTags', 0, 'latin1');
    return Buffer.concat([...this.#page(head, 0, FIRST_PAGE), ...this.#page(tags, 0, 0)]);
  }

  /**
   * The page of one packet: its header, and the packet itself, uncopied.
   *
   * @param granule samples at 48 kHz from the beginning of the stream to the end of this packet
   * @throws {RangeError} when the packet does not fit into a page (65 024 bytes)
   */
  page(packet: Buffer, granule: number): Buffer[] {
    return this.#page(packet, granule, 0);
  }

  #page(packet: Buffer, granule: number, flags: number): Buffer[] {
    if (packet.length > MAX_PACKET_BYTES) throw new RangeError(`an Opus packet of ${packet.length} bytes does not fit into an Ogg page`);
    // A packet is told as segments of 255 bytes and a shorter last one, even if that is empty.
    const segments = Math.floor(packet.length / 255) + 1;
    const header = Buffer.alloc(PAGE_HEADER_BYTES + segments, 255);
    header.write('OggS', 0, 'latin1');
    header[4] = 0; // version
    header[5] = flags;
    header.writeUInt32LE(granule >>> 0, 6);
    header.writeUInt32LE(Math.floor(granule / 2 ** 32), 10);
    header.writeUInt32LE(this.#serial, 14);
    header.writeUInt32LE(this.#sequence++ >>> 0, 18);
    header.writeUInt32LE(0, CRC_OFFSET);
    header[26] = segments;
    header[PAGE_HEADER_BYTES + segments - 1] = packet.length % 255;
    header.writeUInt32LE(crc(packet, crc(header, 0)), CRC_OFFSET);
    return [header, packet];
  }
}

/** Ogg's CRC-32: polynomial 04C11DB7, not reflected, from 0, not inverted (RFC 3533, 6). */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte << 24;
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 0x80000000 ? (remainder << 1) ^ 0x04c11db7 : remainder << 1;
  return remainder;
});

function crc(bytes: Buffer, start: number): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i++) sum = (sum << 8) ^ CRC_TABLE[(sum >>> 24) ^ bytes[i]!]!;
  return sum >>> 0;
}
