import { once } from 'node:events';
import type { LiveStream } from '../streams/live-stream.ts';
import type { EncoderPool } from './encoder-pool.ts';

/** A publisher that is there sends a key frame within a second or so of being asked. */
const TIMEOUT_MS = 5000;

/**
 * Reads a stream until its `frameSize` is known to be of now. For streams that are played but not pushed, whose frames nobody reads. Costs a key
 * frame, and what a push costs for that long.
 *
 * @returns when it is known, and at once for a stream without frames
 * @throws {Error} an `AbortError` when no frame comes; what acquiring the source throws
 */
export async function learnFrameSize(stream: LiveStream, encoders: EncoderPool): Promise<void> {
  const lease = await encoders.acquireSource(stream);
  try {
    const { rendition: source } = lease;
    if (!source.hasVideo || source.metadata.width) return;
    source.requestKeyFrame();
    await once(source.frames, 'sized', { signal: AbortSignal.timeout(TIMEOUT_MS) });
  } finally {
    await lease.release();
  }
}
