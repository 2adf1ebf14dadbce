/** The fields of an RTP packet (RFC 3550, 5.1) that depacketizing needs. */
export interface RtpPacket {
  readonly payloadType: number;
  /** 16 bits. */
  readonly sequenceNumber: number;
  /** 32 bits, in units of the track's clock rate. */
  readonly timestamp: number;
  readonly ssrc: number;
  /** For video: the last packet of a frame. */
  readonly marker: boolean;
  /** A view of the datagram without header, extensions and padding. Empty in packets that only probe the bandwidth. */
  readonly payload: Buffer;
}

const FIXED_HEADER_BYTES = 12;

/** Parses a datagram without copying. `undefined` for anything that is not a well-formed RTP packet. */
export function parseRtpPacket(datagram: Buffer): RtpPacket | undefined {
  if (datagram.length < FIXED_HEADER_BYTES) return undefined;
  const first = datagram[0]!;
  const second = datagram[1]!;
  if (first >> 6 !== 2) return undefined;
  let start = FIXED_HEADER_BYTES + (first & 0x0f) * 4;
  let end = datagram.length;
  if (first & 0x10) {
    if (start + 4 > end) return undefined;
    start += 4 + datagram.readUInt16BE(start + 2) * 4;
  }
  if (start > end) return undefined;
  if (first & 0x20) {
    // The last byte is the length of the padding, including itself; zero is invalid.
    const padding = datagram[end - 1]!;
    if (padding === 0 || start + padding > end) return undefined;
    end -= padding;
  }
  return {
    payloadType: second & 0x7f,
    sequenceNumber: datagram.readUInt16BE(2),
    timestamp: datagram.readUInt32BE(4),
    ssrc: datagram.readUInt32BE(8),
    marker: (second & 0x80) !== 0,
    payload: datagram.subarray(start, end),
  };
}
