import { FLV_HEADER_BYTES, FLV_PREVIOUS_SIZE_BYTES, FLV_TAG_HEADER_BYTES } from './flv-layout.ts';
import type { FlvTag } from './flv-tag.ts';

/** The beginning of an FLV stream: the file header and the first "previous tag size" (FLV 10.1, E.2 and E.3). */
export function flvHeader(content: { readonly audio: boolean; readonly video: boolean }): Buffer {
  const header = Buffer.alloc(FLV_HEADER_BYTES + FLV_PREVIOUS_SIZE_BYTES);
  header.write('FLV', 'latin1');
  header[3] = 1; // version
  header[4] = (content.audio ? 4 : 0) | (content.video ? 1 : 0);
  header.writeUInt32BE(FLV_HEADER_BYTES, 5);
  return header;
}

/**
 * What surrounds a tag's body in an FLV stream (E.4.1): to be written as head, `tag.data`, tail, so that the body is
 * never copied.
 *
 * @param timestamp milliseconds, where the stream counts from another start than the tag
 */
export function flvTagParts(tag: FlvTag, timestamp = tag.timestamp): { head: Buffer; tail: Buffer } {
  const time = Math.round(timestamp) >>> 0;
  const head = Buffer.alloc(FLV_TAG_HEADER_BYTES);
  head[0] = tag.type;
  head.writeUIntBE(tag.data.length, 1, 3);
  head.writeUIntBE(time & 0xffffff, 4, 3);
  head[7] = time >>> 24;
  const tail = Buffer.allocUnsafe(FLV_PREVIOUS_SIZE_BYTES);
  tail.writeUInt32BE(FLV_TAG_HEADER_BYTES + tag.data.length);
  return { head, tail };
}
