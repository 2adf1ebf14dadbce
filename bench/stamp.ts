/**
 * A time stamp inside the video: an SEI message "user data unregistered" (ITU-T H.264, D.1.7) with the machine's monotonic clock, which
 * all processes share. Written as hexadecimal digits, so that no byte of it needs an emulation prevention byte.
 */

const MARK = Buffer.from('webrtc-bench-sei', 'latin1');
const DIGITS = 16;
const SEI_HEADER = Buffer.of(6, 5, MARK.length + DIGITS);
/** The stamp precedes the frame. */
const SEARCHED_BYTES = 128;

const microseconds = (): number => Math.round(Number(process.hrtime.bigint()) / 1000);

/** Milliseconds of the clock that {@link createStamp} writes. */
export const stampClock = (): number => microseconds() / 1000;

/** Creates a NAL unit with the current time. */
export function createStamp(): Buffer {
  const digits = microseconds().toString(16).padStart(DIGITS, '0');
  return Buffer.concat([SEI_HEADER, MARK, Buffer.from(digits, 'latin1'), Buffer.of(0x80)]);
}

/** When the frame in a video tag's body was sent, in milliseconds of {@link stampClock}; undefined without a stamp. */
export function readStamp(body: Buffer): number | undefined {
  const at = body.subarray(0, SEARCHED_BYTES).indexOf(MARK);
  if (at < 0) return undefined;
  const start = at + MARK.length;
  return Number.parseInt(body.toString('latin1', start, start + DIGITS), 16) / 1000;
}
