import { av1Record, hasSequenceHeader, withoutDelimiter } from '../codecs/av1.ts';
import { opusHead } from '../codecs/opus-packet.ts';
import { parseVp9Header, vp8Record, vp9Record } from '../codecs/vpx.ts';
import { TAG_VIDEO, type FlvTag } from './flv-tag.ts';

/** Bodies of tags with codecs that FLV itself does not know, as Enhanced RTMP (v2) writes them: a four-letter name of the codec. Pure. */

export type ForeignVideoCodec = 'vp8' | 'vp9' | 'av1';

/** The names of video codecs, as Enhanced RTMP and MP4 files write them. */
export const VIDEO_FOURCC = { vp8: 'vp08', vp9: 'vp09', av1: 'av01' } as const satisfies Record<
  ForeignVideoCodec,
  string
>;
export type Fourcc = (typeof VIDEO_FOURCC)[ForeignVideoCodec] | 'Opus';

/** A name as the number that `onMetaData` has for it: its letters, the first one highest. */
export const fourccNumber = (name: Fourcc): number => Buffer.from(name, 'latin1').readUInt32BE();

/** Bytes before the payload: flags and the name. */
export const ENHANCED_HEADER_BYTES = 5;

const IS_ENHANCED_VIDEO = 0x80;
const KEY_FRAME = 0x10;
const INTER_FRAME = 0x20;
/** The format number of audio with a name. */
const ENHANCED_AUDIO = 0x90;
const SEQUENCE_START = 0;
const CODED_FRAMES = 1;

/** The name of the codec of a tag; `undefined` if it is one of FLV itself. */
export function fourccOf({ type, data }: FlvTag): Fourcc | undefined {
  if (data.length < ENHANCED_HEADER_BYTES) return undefined;
  const isEnhanced = type === TAG_VIDEO ? data[0]! & IS_ENHANCED_VIDEO : (data[0]! & 0xf0) === ENHANCED_AUDIO;
  return isEnhanced ? (data.toString('latin1', 1, ENHANCED_HEADER_BYTES) as Fourcc) : undefined;
}

const RECORDS = { vp8: vp8Record, vp9: vp9Record, av1: av1Record } as const;

/**
 * The sequence header that belongs to a key frame. Since not every codec's record contains the frame size, the tag has it.
 *
 * @throws {RangeError} if the frame is invalid
 */
export function foreignVideoHeader(
  codec: ForeignVideoCodec,
  frame: Buffer,
  timestamp: number,
  frameSize: NonNullable<FlvTag['frameSize']>,
): FlvTag {
  const data = body(
    IS_ENHANCED_VIDEO | KEY_FRAME | SEQUENCE_START,
    VIDEO_FOURCC[codec],
    RECORDS[codec](frame, frameSize),
  );
  return { type: TAG_VIDEO, timestamp, data, keyFrame: false, sequenceHeader: true, frameSize };
}

/** @param frame as an IVF file contains it */
export function foreignVideoFrame(
  codec: ForeignVideoCodec,
  frame: Buffer,
  timestamp: number,
  keyFrame: boolean,
): FlvTag {
  const flags = IS_ENHANCED_VIDEO | (keyFrame ? KEY_FRAME : INTER_FRAME) | CODED_FRAMES;
  const data = body(flags, VIDEO_FOURCC[codec], codec === 'av1' ? withoutDelimiter(frame) : frame);
  return { type: TAG_VIDEO, timestamp, data, keyFrame, sequenceHeader: false };
}

/** Whether a decoder can start with a frame, which is as an IVF file contains it. */
export function isForeignKeyFrame(codec: ForeignVideoCodec, frame: Buffer): boolean {
  switch (codec) {
    case 'vp8':
      return frame.length > 0 && (frame[0]! & 1) === 0;
    case 'vp9':
      return parseVp9Header(frame).keyFrame;
    case 'av1':
      return hasSequenceHeader(frame);
  }
}

/** The body of the sequence header of Opus. */
export const opusSequenceHeader = (channels: number): Buffer =>
  body(ENHANCED_AUDIO | SEQUENCE_START, 'Opus', opusHead(channels));

/** The body of a tag with one packet. */
export const opusFrame = (packet: Buffer): Buffer => body(ENHANCED_AUDIO | CODED_FRAMES, 'Opus', packet);

function body(flags: number, fourcc: Fourcc, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(ENHANCED_HEADER_BYTES + payload.length);
  bytes[0] = flags;
  bytes.write(fourcc, 1, 'latin1');
  payload.copy(bytes, ENHANCED_HEADER_BYTES);
  return bytes;
}
