/** NAL units of H.264 and the bytes around them (ITU-T H.264, 7.3.1 and 7.4.1). */

export const NAL_SLICE = 1;
export const NAL_IDR_SLICE = 5;
export const NAL_SPS = 7;
export const NAL_PPS = 8;

export const nalType = (nalUnit: Buffer): number => nalUnit[0]! & 0x1f;

const EMULATION_PREVENTION = Buffer.from([0, 0, 3]);

/** Removes the 03 of every 00 00 03 (H.264, 7.4.1.1). @returns the same bytes where there is none */
export function removeEmulationPrevention(bytes: Buffer): Buffer {
  if (!bytes.includes(EMULATION_PREVENTION)) return bytes;
  const clean = Buffer.alloc(bytes.length);
  let length = 0;
  let zeros = 0;
  for (const byte of bytes) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    clean[length++] = byte;
  }
  return clean.subarray(0, length);
}

/** Inserts 03 after two zeros before anything up to 3, so that no start code appears within a NAL unit. */
export function addEmulationPrevention(bytes: Buffer): Buffer {
  const safe = Buffer.alloc(bytes.length + Math.ceil(bytes.length / 2));
  let length = 0;
  let zeros = 0;
  for (const byte of bytes) {
    if (zeros >= 2 && byte <= 3) {
      safe[length++] = 3;
      zeros = 0;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    safe[length++] = byte;
  }
  return safe.subarray(0, length);
}

const FRAME_HEADER_BYTES = 5;

/**
 * The NAL units in the body of an FLV video tag, whose lengths have four bytes.
 *
 * @throws {RangeError} if the lengths do not fit the body
 */
export function nalUnitsOf(body: Buffer): Buffer[] {
  const nalUnits: Buffer[] = [];
  for (let at = FRAME_HEADER_BYTES; at < body.length;) {
    const end = at + 4 + body.readUInt32BE(at);
    if (end > body.length) throw new RangeError('a NAL unit is longer than its frame');
    if (end > at + 4) nalUnits.push(body.subarray(at + 4, end));
    at = end;
  }
  return nalUnits;
}

/** The parameter sets in the body of an AVC sequence header. */
export interface SequenceHeader {
  readonly sps: readonly Buffer[];
  readonly pps: readonly Buffer[];
  /** Bytes of the length in front of each NAL unit of a frame. */
  readonly lengthBytes: number;
}

/**
 * Reads the body of the FLV tag of an AVC sequence header (ISO/IEC 14496-15, 5.3.3.1).
 *
 * @throws {RangeError} if it is incomplete
 */
export function readSequenceHeader(body: Buffer): SequenceHeader {
  const lengthBytes = (body.readUInt8(FRAME_HEADER_BYTES + 4) & 3) + 1;
  let at = FRAME_HEADER_BYTES + 5;
  const list = (count: number): Buffer[] =>
    Array.from({ length: count }, () => {
      const start = at + 2;
      at = start + body.readUInt16BE(at);
      if (at > body.length) throw new RangeError('a parameter set is longer than the sequence header');
      return body.subarray(start, at);
    });
  const sps = list(body.readUInt8(at++) & 0x1f);
  const pps = list(body.readUInt8(at++));
  return { sps, pps, lengthBytes };
}
