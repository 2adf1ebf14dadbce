/** RTP payloads of H.264 (RFC 6184). */

/** Consecutive pieces, each from a packet of its own. The first one is not empty. */
export type NalUnit = readonly Buffer[];

export const STAP_A = 24;
export const FU_A = 28;
export const FU_START = 0x80;
export const FU_END = 0x40;

/** Payload structures of the interleaved mode, which no offer of WebRTC contains, and what is not defined. */
const UNSUPPORTED: ReadonlyMap<number, string> = new Map([
  [25, 'STAP-B'],
  [26, 'MTAP16'],
  [27, 'MTAP24'],
  [29, 'FU-B'],
  [30, 'NAL unit type 30'],
  [31, 'NAL unit type 31'],
]);

/** The name of a structure that cannot be used. */
export const unsupportedStructure = (payload: Buffer): string | undefined => UNSUPPORTED.get(payload[0]! & 0x1f);

/**
 * The first bytes of NAL units that arrive in fragments, which describe it but do not contain it. Shared: never written
 * to.
 */
const NAL_HEADERS = Array.from({ length: 256 }, (_, header) => Buffer.from([header]));

/** The header of the NAL unit to which the first packet of a FU-A belongs. */
export const headerOfFragments = (payload: Buffer): Buffer => NAL_HEADERS[(payload[0]! & 0xe0) | (payload[1]! & 0x1f)]!;

/** The NAL units in a STAP-A; `undefined` if their lengths do not fit it. */
export function aggregatedUnits(payload: Buffer): Buffer[] | undefined {
  const units: Buffer[] = [];
  let at = 1;
  while (at + 2 <= payload.length) {
    const end = at + 2 + payload.readUInt16BE(at);
    if (end === at + 2 || end > payload.length) return undefined;
    units.push(payload.subarray(at + 2, end));
    at = end;
  }
  return at === payload.length && units.length > 0 ? units : undefined;
}

/** The beginning of the first NAL unit in a packet; `undefined` for a fragment that is not the first one. */
export function firstUnit(payload: Buffer): NalUnit | undefined {
  const type = payload[0]! & 0x1f;
  if (type === STAP_A) return payload.length > 3 ? [payload.subarray(3)] : undefined;
  if (type !== FU_A) return [payload];
  return payload.length > 1 && payload[1]! & FU_START ? [headerOfFragments(payload), payload.subarray(2)] : undefined;
}

export const whole = (nalUnit: NalUnit): Buffer => (nalUnit.length === 1 ? nalUnit[0]! : Buffer.concat(nalUnit));

/** At most so many bytes from the beginning of a NAL unit. */
export function beginning(nalUnit: NalUnit, bytes: number): Buffer {
  if (nalUnit[0]!.length >= bytes || nalUnit.length === 1) return nalUnit[0]!.subarray(0, bytes);
  const parts: Buffer[] = [];
  let left = bytes;
  for (const piece of nalUnit) {
    if (left <= 0) break;
    parts.push(piece.subarray(0, left));
    left -= piece.length;
  }
  return Buffer.concat(parts);
}
