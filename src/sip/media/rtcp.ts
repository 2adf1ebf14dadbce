/** RTCP packets (RFC 3550, 6; RFC 4585; RFC 5104). Pure. */

const SENDER_REPORT = 200;
const RECEIVER_REPORT = 201;
const SOURCE_DESCRIPTION = 202;
const PAYLOAD_FEEDBACK = 206;
const PLI = 1;
const FIR = 4;
const MAX_PACKETS = 16;

/** Whether a datagram on an RTP port is RTCP (RFC 5761, 4). */
export const isRtcp = (datagram: Buffer): boolean => {
  const type = datagram[1]! & 0x7f;
  return type >= 72 && type <= 76;
};

export interface SenderReportInfo {
  readonly ssrc: number;
  readonly ntpSeconds: number;
  readonly ntpFraction: number;
  readonly rtpTimestamp: number;
  readonly packets: number;
  readonly bytes: number;
}

/** The parts of a compound packet; what does not fit is left out. */
export function splitRtcp(packet: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at + 4 <= packet.length && parts.length < MAX_PACKETS;) {
    const bytes = (packet.readUInt16BE(at + 2) + 1) * 4;
    if (packet[at]! >> 6 !== 2 || at + bytes > packet.length) break;
    parts.push(packet.subarray(at, at + bytes));
    at += bytes;
  }
  return parts;
}

export function readSenderReport(part: Buffer): SenderReportInfo | undefined {
  if (part[1] !== SENDER_REPORT || part.length < 28) return undefined;
  return {
    ssrc: part.readUInt32BE(4),
    ntpSeconds: part.readUInt32BE(8),
    ntpFraction: part.readUInt32BE(12),
    rtpTimestamp: part.readUInt32BE(16),
    packets: part.readUInt32BE(20),
    bytes: part.readUInt32BE(24),
  };
}

/** Without report blocks. */
export function writeSenderReport(info: SenderReportInfo): Buffer {
  const packet = header(0, SENDER_REPORT, 28);
  packet.writeUInt32BE(info.ssrc, 4);
  packet.writeUInt32BE(info.ntpSeconds, 8);
  packet.writeUInt32BE(info.ntpFraction, 12);
  packet.writeUInt32BE(info.rtpTimestamp, 16);
  packet.writeUInt32BE(info.packets, 20);
  packet.writeUInt32BE(info.bytes, 24);
  return packet;
}

/** The media SSRC of a request for a key frame. */
export function keyFrameRequestOf(part: Buffer): number | undefined {
  if (part[1] !== PAYLOAD_FEEDBACK) return undefined;
  const format = part[0]! & 31;
  if (format === PLI && part.length >= 12) return part.readUInt32BE(8);
  return format === FIR && part.length >= 20 ? part.readUInt32BE(12) : undefined;
}

export interface ReportBlock {
  readonly ssrc: number;
  /** 0 to 255. */
  readonly fractionLost: number;
  readonly lost: number;
  readonly highest: number;
  readonly jitter: number;
  /** Middle of the NTP time of the last sender report, and the time since, in 1/65536 s. */
  readonly lastReport: number;
  readonly delay: number;
}

export function writeReceiverReport(ssrc: number, block?: ReportBlock): Buffer {
  const packet = header(block ? 1 : 0, RECEIVER_REPORT, block ? 32 : 8);
  packet.writeUInt32BE(ssrc, 4);
  if (!block) return packet;
  packet.writeUInt32BE(block.ssrc, 8);
  packet.writeUInt32BE((((block.fractionLost & 0xff) << 24) | (block.lost & 0xffffff)) >>> 0, 12);
  packet.writeUInt32BE(block.highest >>> 0, 16);
  packet.writeUInt32BE(block.jitter >>> 0, 20);
  packet.writeUInt32BE(block.lastReport >>> 0, 24);
  packet.writeUInt32BE(block.delay >>> 0, 28);
  return packet;
}

/** The canonical name, which each compound packet has. */
export function writeSourceDescription(ssrc: number, name: string): Buffer {
  const text = Buffer.from(name.slice(0, 200));
  // An item ends the list with a zero, up to the next word.
  const packet = header(1, SOURCE_DESCRIPTION, 8 + Math.ceil((2 + text.length + 1) / 4) * 4);
  packet.writeUInt32BE(ssrc, 4);
  packet[8] = 1;
  packet[9] = text.length;
  text.copy(packet, 10);
  return packet;
}

export function writePli(ssrc: number, mediaSsrc: number): Buffer {
  const packet = header(PLI, PAYLOAD_FEEDBACK, 12);
  packet.writeUInt32BE(ssrc, 4);
  packet.writeUInt32BE(mediaSsrc, 8);
  return packet;
}

/** @param number rises with each request */
export function writeFir(ssrc: number, mediaSsrc: number, number: number): Buffer {
  const packet = header(FIR, PAYLOAD_FEEDBACK, 20);
  packet.writeUInt32BE(ssrc, 4);
  packet.writeUInt32BE(mediaSsrc, 12);
  packet[16] = number & 0xff;
  return packet;
}

function header(count: number, type: number, bytes: number): Buffer {
  const packet = Buffer.alloc(bytes);
  packet[0] = 0x80 | count;
  packet[1] = type;
  packet.writeUInt16BE(bytes / 4 - 1, 2);
  return packet;
}
