import type { LiveStream } from '../streams/live-stream.ts';
import type { KeyFrameReader } from './key-frame-reader.ts';
import type { KeyFrame } from './media-source.ts';

/**
 * Reads a key frame of a stream, so that its current `frameSize` is known. For streams that are played but not pushed,
 * whose frames are not read otherwise: a size that was read earlier may be outdated.
 *
 * @param running returns the last key frame of a stream that is being read anyway, whose size is current
 * @returns when the size is known; at once for a stream without video
 * @throws {GatewayError} if no acceptable key frame arrives
 */
export async function learnFrameSize(
  stream: LiveStream,
  running: { lastKeyFrame(stream: LiveStream): KeyFrame | undefined },
  keyFrames: KeyFrameReader,
): Promise<void> {
  if (running.lastKeyFrame(stream) || !stream.publisher?.video) return;
  await keyFrames.read(stream);
}
