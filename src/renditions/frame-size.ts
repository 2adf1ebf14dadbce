import type { LiveStream } from '../streams/live-stream.ts';
import type { KeyFrameReader } from './key-frame-reader.ts';

/**
 * Reads a stream until its `frameSize` is known. For streams that are played but not pushed, whose frames are not read otherwise. Costs one key frame.
 *
 * @returns when the size is known; at once for a stream without video
 * @throws {GatewayError} if no acceptable key frame arrives
 */
export async function learnFrameSize(stream: LiveStream, keyFrames: KeyFrameReader): Promise<void> {
  if (stream.frameSize || !stream.publisher?.video) return;
  await keyFrames.read(stream);
}
