import { avcFrame } from '../../media/codecs/avc.ts';
import { skippedFramesAfter } from '../../media/codecs/avc-freeze.ts';
import type { FlvTag } from '../../media/containers/flv-tag.ts';
import type { FreezeFrames } from './standby-clip.ts';

const CODEC_AVC = 7;
const NAL_UNITS = 1;

/**
 * Frames that repeat the last one of a stream, with CAVLC and with CABAC. What follows them must be an IDR frame.
 *
 * @param header the current AVC sequence header
 * @param last the last video frame that was sent. If nothing refers to it (temporal layers), the last reference frame
 * before it is repeated
 * @returns `undefined` if the stream cannot be frozen safely, for instance with B-frames or fields
 */
export function freezeFrames(header: FlvTag, last: FlvTag): FreezeFrames | undefined {
  if (!header.sequenceHeader || !isAvcFrame(last.data)) return undefined;
  const frames = skippedFramesAfter(header.data, last.data);
  return frames && { next: () => avcFrame([[frames.next()]], false) };
}

const isAvcFrame = (body: Buffer): boolean =>
  body.length > 5 && (body[0]! & 0x8f) === CODEC_AVC && body[1] === NAL_UNITS;
