/**
 * The unit that flows from an encoder to every destination: one FLV tag (Adobe Flash Video File Format 10.1, annex E).
 * A tag's `data` is shared by all destinations of a stream, so it must not be written to.
 */

export const TAG_AUDIO = 8;
export const TAG_VIDEO = 9;
export const TAG_SCRIPT = 18;

export type TagType = typeof TAG_AUDIO | typeof TAG_VIDEO | typeof TAG_SCRIPT;

export interface FlvTag {
  readonly type: TagType;
  /**
   * Milliseconds; monotonic per type within a rendition, starting near 0. Frames that are reordered have their decoding
   * time here, which may be before 0 for the first of them.
   */
  readonly timestamp: number;
  /** The tag's body, without the 11-byte tag header. Shared: never written to. */
  readonly data: Buffer;
  /** A video frame from which a decoder can start. */
  readonly keyFrame: boolean;
  /** Decoder configuration (AVC or AAC sequence header) instead of media. */
  readonly sequenceHeader: boolean;
  /** Pixels; of the sequence header of a codec whose configuration does not contain them. */
  readonly frameSize?: { readonly width: number; readonly height: number };
}

/** The values of `onMetaData` of a rendition. Unknown values are left out of the message. */
export interface StreamMetadata {
  /** Pixels, after cropping. */
  width?: number;
  height?: number;
  /** Frames per second, when it is fixed. */
  frameRate?: number;
  /** Kilobits per second, when it is fixed. */
  videoBitrate?: number;
  audioBitrate?: number;
  /** Hertz. */
  audioSampleRate?: number;
  audioChannels?: number;
  /**
   * FLV codec numbers: video 7 = AVC; audio 10 = AAC, 7 = G.711 A-law, 8 = G.711 µ-law, 11 = Speex. Codecs that FLV does
   * not know: the number of their four-letter name.
   */
  videoCodecId?: number;
  audioCodecId?: number;
}

const KEY_FRAME = 1;
const CODEC_AVC = 7;
const FORMAT_AAC = 10;
const PACKET_SEQUENCE_HEADER = 0;
const PACKET_NAL_UNITS = 1;

/**
 * A tag whose flags are read from its body, by the rules of AVC and AAC; other codecs have neither flag but the key
 * frame's.
 */
export function flvTag(type: TagType, timestamp: number, data: Buffer): FlvTag {
  let keyFrame = false;
  let sequenceHeader = false;
  if (type === TAG_VIDEO && data.length >= 2) {
    const avc = (data[0]! & 0x0f) === CODEC_AVC;
    keyFrame = data[0]! >> 4 === KEY_FRAME && (!avc || data[1] === PACKET_NAL_UNITS);
    sequenceHeader = avc && data[1] === PACKET_SEQUENCE_HEADER;
  } else if (type === TAG_AUDIO && data.length >= 2) {
    sequenceHeader = data[0]! >> 4 === FORMAT_AAC && data[1] === PACKET_SEQUENCE_HEADER;
  }
  return { type, timestamp, data, keyFrame, sequenceHeader };
}

/** When a video tag with a frame of AVC is shown, in milliseconds: the composition time is in its body. */
export const presentationMs = ({ timestamp, data }: FlvTag): number =>
  data.length >= 5 && (data[0]! & 0x0f) === CODEC_AVC && data[1] === PACKET_NAL_UNITS
    ? timestamp + data.readIntBE(2, 3)
    : timestamp;
