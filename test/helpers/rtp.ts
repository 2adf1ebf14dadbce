import type { RtpPacket } from '../../src/media/rtp/rtp-packet.ts';

/** A packet as returned by the parser. */
export function rtpPacket(fields: Partial<RtpPacket>): RtpPacket {
  return { payloadType: 96, sequenceNumber: 0, timestamp: 0, ssrc: 1, marker: false, payload: Buffer.of(1), ...fields };
}

/** Splits an AV1 temporal unit in the low-overhead format (AV1 specification, 5.2) into its OBUs, without their size fields. */
export function splitObus(temporalUnit: Buffer): Buffer[] {
  const obus: Buffer[] = [];
  for (let offset = 0; offset < temporalUnit.length;) {
    const header = temporalUnit[offset]!;
    const headerBytes = header & 0x04 ? 2 : 1;
    let size = 0;
    let sizeBytes = 0;
    for (let more = true; more; sizeBytes++) {
      const byte = temporalUnit[offset + headerBytes + sizeBytes]!;
      size += (byte & 0x7f) * 2 ** (7 * sizeBytes);
      more = (byte & 0x80) !== 0;
    }
    const start = offset + headerBytes + sizeBytes;
    obus.push(
      Buffer.concat([
        Buffer.of(header & ~0x02),
        temporalUnit.subarray(offset + 1, offset + headerBytes),
        temporalUnit.subarray(start, start + size),
      ]),
    );
    offset = start + size;
  }
  return obus;
}

/**
 * Packetizes OBUs by "RTP Payload Format for AV1": packets are filled, and OBUs continue in the next packet. With `counted`, up to three elements
 * are counted in the header, and the last one has no length.
 */
export function packetizeAv1(obus: readonly Buffer[], maxBytes: number, counted: boolean): Buffer[] {
  const payloads: Buffer[] = [];
  let elements: Buffer[] = [];
  let used = 1;
  let continues = false;
  const flush = (toBeContinued: boolean): void => {
    const count = counted && elements.length <= 3 ? elements.length : 0;
    const parts = elements.map((element, index) =>
      count > 0 && index === count - 1 ? element : Buffer.concat([leb128(element.length), element]),
    );
    payloads.push(
      Buffer.concat([Buffer.of((continues ? 0x80 : 0) | (toBeContinued ? 0x40 : 0) | (count << 4)), ...parts]),
    );
    elements = [];
    used = 1;
    continues = toBeContinued;
  };
  for (const obu of obus) {
    let rest = obu;
    while (used + 2 + rest.length > maxBytes) {
      const room = maxBytes - used - 2;
      if (room > 0) elements.push(rest.subarray(0, room));
      rest = room > 0 ? rest.subarray(room) : rest;
      flush(room > 0);
    }
    elements.push(rest);
    used += 2 + rest.length;
  }
  flush(false);
  return payloads;
}

function leb128(value: number): Buffer {
  const bytes: number[] = [];
  for (; value > 0x7f; value >>= 7) bytes.push((value & 0x7f) | 0x80);
  bytes.push(value);
  return Buffer.from(bytes);
}
