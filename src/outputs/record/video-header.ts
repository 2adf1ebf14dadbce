import { fourccOf } from '../../media/containers/enhanced-tag.ts';
import type { FlvTag } from '../../media/containers/flv-tag.ts';
import type { Recording } from './recordings.ts';

/** What a recorder reads from sequence headers. */

const VIDEO_CODECS = { vp08: 'vp8', vp09: 'vp9', av01: 'av1' } as const;

/** The name of the codec in the list of recordings. */
export function videoCodecOf(header: FlvTag): NonNullable<Recording['videoCodec']> {
  const fourcc = fourccOf(header);
  return fourcc && fourcc !== 'Opus' ? VIDEO_CODECS[fourcc] : 'h264';
}

/** A tag of its own memory: a tag is a view that keeps a whole read buffer alive. */
export const copyOf = (tag: FlvTag): FlvTag => ({ ...tag, data: Buffer.from(tag.data) });
