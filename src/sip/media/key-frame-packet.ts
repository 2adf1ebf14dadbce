import { FU_A, FU_START, STAP_A } from '../../media/rtp/h264-payload.ts';
import type { CallVideoCodec } from './codecs.ts';

const IDR = 5;
const SPS = 7;
const isKeyUnit = (type: number): boolean => type === IDR || type === SPS;

/** Whether a payload begins a key frame, as far as one packet shows it. */
export function beginsKeyFrame(codec: CallVideoCodec, payload: Buffer): boolean {
  if (payload.length < 3) return false;
  if (codec === 'vp8') return beginsVp8KeyFrame(payload);
  const type = payload[0]! & 31;
  if (type === STAP_A) return payload.length > 3 && isKeyUnit(payload[3]! & 31);
  if (type === FU_A) return (payload[1]! & FU_START) !== 0 && isKeyUnit(payload[1]! & 31);
  return isKeyUnit(type);
}

/** RFC 7741, 4.2 and 4.3: the first packet of a frame whose P bit is 0. */
function beginsVp8KeyFrame(payload: Buffer): boolean {
  if ((payload[0]! & 0x17) !== 0x10) return false;
  let at = 1;
  if (payload[0]! & 0x80) {
    const extension = payload[1]!;
    at = 2;
    if (extension & 0x80) at += (payload[at] ?? 0) & 0x80 ? 2 : 1;
    if (extension & 0x40) at++;
    if (extension & 0x30) at++;
  }
  return at < payload.length && (payload[at]! & 1) === 0;
}
