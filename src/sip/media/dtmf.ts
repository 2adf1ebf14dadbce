/** Digits as RTP events (RFC 4733) and in INFO. Pure. */

const DIGITS = '0123456789*#ABCD';
export type DtmfDigit = string;

/** A digit lasts 160 ms. */
export const DTMF_STEP_MS = 20;
export const DTMF_STEPS = 8;
export const DTMF_MS = DTMF_STEP_MS * DTMF_STEPS;
/** -10 dBm0, as telephones have it. */
const VOLUME = 10;

/** `undefined` unless there are digits and pauses alone. */
export function parseDigits(text: string): (DtmfDigit | ',')[] | undefined {
  const digits = [...text.toUpperCase()];
  return digits.every((digit) => digit === ',' || DIGITS.includes(digit)) ? digits : undefined;
}

export function dtmfPacket(digit: DtmfDigit, duration: number, isLast: boolean): Buffer {
  const payload = Buffer.alloc(4);
  payload[0] = DIGITS.indexOf(digit);
  payload[1] = VOLUME | (isLast ? 0x80 : 0);
  payload.writeUInt16BE(Math.min(0xffff, duration), 2);
  return payload;
}

/** Reads the digits of a peer: an event has many packets with one timestamp. */
export class DtmfReader {
  #timestamp: number | undefined;

  /** The digit that a packet begins or ends, once. */
  read(payload: Buffer, timestamp: number): DtmfDigit | undefined {
    if (payload.length < 4 || timestamp === this.#timestamp) return undefined;
    this.#timestamp = timestamp;
    return DIGITS[payload[0]!];
  }
}

/** The bodies of INFO in both ways that telephones know. */
export const dtmfInfo = (type: 'INFO' | 'INFO_RELAY', digit: DtmfDigit): { type: string; text: string } =>
  type === 'INFO_RELAY'
    ? { type: 'application/dtmf-relay', text: `Signal=${digit}\r\nDuration=${DTMF_MS}\r\n` }
    : { type: 'application/dtmf', text: digit };
