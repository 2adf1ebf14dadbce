import { decodeAmf0, EcmaArray } from '../../src/media/amf0.ts';
import type { FlvTag } from '../../src/media/containers/flv-tag.ts';
import { flvTagParts } from '../../src/media/containers/flv-writer.ts';

/** A whole tag in one piece. */
export function encodeFlvTag(tag: FlvTag): Buffer {
  const { head, tail } = flvTagParts(tag);
  return Buffer.concat([head, tag.data, tail]);
}

/** The values of an `onMetaData` script tag, by their names in it; `undefined` for another script tag. */
export function parseOnMetaData(body: Buffer): Record<string, unknown> | undefined {
  const [name, data] = decodeAmf0(body);
  return name === 'onMetaData' && data instanceof EcmaArray ? { ...data.entries } : undefined;
}
