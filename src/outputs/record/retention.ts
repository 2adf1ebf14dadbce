import type { Recording } from './recordings.ts';

export interface RetentionRules {
  /** Milliseconds; 0: forever. */
  readonly keepMs: number;
  /** Bytes of all recordings together; 0: no limit. */
  readonly maxTotalBytes: number;
}

/**
 * The recordings to delete: those that have ended too long ago, and the oldest ones while all together are too large.
 * Recordings that run count, and stay. Pure.
 *
 * @param recordings oldest first
 */
export function expiredRecordings(
  recordings: readonly Recording[],
  { keepMs, maxTotalBytes }: RetentionRules,
  nowMs: number,
): Recording[] {
  let total = recordings.reduce((sum, { bytes }) => sum + bytes, 0);
  return recordings.filter(({ state, endedAt, startedAt, bytes }) => {
    if (state === 'recording' || state === 'finishing') return false;
    const isOld = keepMs > 0 && nowMs - Date.parse(endedAt ?? startedAt) > keepMs;
    const isTooMuch = maxTotalBytes > 0 && total > maxTotalBytes;
    if (!isOld && !isTooMuch) return false;
    total -= bytes;
    return true;
  });
}
