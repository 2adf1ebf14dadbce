import type { Recording } from './recordings.ts';

export interface RetentionRules {
  /** Milliseconds; 0: forever. */
  readonly keepMs: number;
  /** Bytes of all files on the disk together; 0: no limit. */
  readonly maxTotalBytes: number;
}

export interface ExpiredRecordings {
  /** To be deleted, in the bucket as well. */
  readonly deleted: readonly Recording[];
  /** To be deleted from the disk, because the bucket has them. */
  readonly released: readonly Recording[];
}

/**
 * The recordings to delete: those that have ended too long ago, and the oldest ones while all files together are too
 * large. Recordings that run count, and stay. So do those that wait for their bucket, except when they are too old. Pure.
 *
 * @param recordings oldest first
 */
export function expiredRecordings(
  recordings: readonly Recording[],
  { keepMs, maxTotalBytes }: RetentionRules,
  nowMs: number,
): ExpiredRecordings {
  const deleted: Recording[] = [];
  const released: Recording[] = [];
  let total = recordings.reduce((sum, recording) => sum + localBytes(recording), 0);
  for (const recording of recordings) {
    const { state, endedAt, startedAt, storage } = recording;
    if (state === 'recording' || state === 'finishing') continue;
    const isOld = keepMs > 0 && nowMs - Date.parse(endedAt ?? startedAt) > keepMs;
    const isTooMuch = maxTotalBytes > 0 && total > maxTotalBytes && localBytes(recording) > 0;
    if (isOld || (isTooMuch && !storage)) deleted.push(recording);
    else if (isTooMuch && storage?.state === 'stored') released.push(recording);
    else continue;
    total -= localBytes(recording);
  }
  return { deleted, released };
}

const localBytes = ({ bytes, storage }: Recording): number => (storage?.local === false ? 0 : bytes);
