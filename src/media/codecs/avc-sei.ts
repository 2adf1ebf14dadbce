import { BitReader } from '../bits.ts';
import { removeEmulationPrevention } from './avc-nal.ts';

/** A frame at which a decoder can start without an IDR frame (ITU-T H.264, D.2.8). */
export interface RecoveryPoint {
  /** Number of frames after which frames are correct; 0: this one is. */
  readonly frames: number;
  /** Frames that are decoded after this one and shown before it may be damaged. */
  readonly brokenLink: boolean;
}

const RECOVERY_POINT = 6;
/** Messages for decoders are at the beginning; what applications add may be long. */
const MAX_SEI_BYTES = 1024;

/** The recovery point in an SEI NAL unit, if there is one. Never throws. */
export function readRecoveryPoint(sei: Buffer): RecoveryPoint | undefined {
  const bytes = removeEmulationPrevention(sei.subarray(1, MAX_SEI_BYTES));
  let at = 0;
  const number = (): number => {
    let value = 0;
    while (bytes[at] === 0xff) {
      value += 0xff;
      at++;
    }
    return value + (bytes[at++] ?? 0);
  };
  // The last byte is the stop bit.
  while (at + 2 < bytes.length) {
    const type = number();
    const size = number();
    if (type === RECOVERY_POINT) return parse(bytes.subarray(at, at + size));
    at += size;
  }
  return undefined;
}

function parse(payload: Buffer): RecoveryPoint | undefined {
  try {
    const reader = new BitReader(payload);
    const frames = reader.unsignedGolomb();
    reader.skip(1); // exact_match_flag
    return { frames, brokenLink: reader.bit() === 1 };
  } catch {
    return undefined;
  }
}
