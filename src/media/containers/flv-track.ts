import { parseAudioSpecificConfig } from '../codecs/aac.ts';
import { parseSps, type SpsInfo } from '../codecs/avc.ts';
import { OPUS_SAMPLE_RATE } from '../codecs/opus-packet.ts';
import { ENHANCED_HEADER_BYTES, fourccOf } from './enhanced-tag.ts';
import type { FlvTag } from './flv-tag.ts';
import type { AudioTrackFormat, VideoTrackFormat } from './mp4-boxes.ts';

/** What sequence headers of FLV say about their track. Pure. */

const VIDEO_HEADER_BYTES = 5;
const AAC_HEADER_BYTES = 2;
/** Offsets in the AVC decoder configuration record (ISO/IEC 14496-15, 5.3.3.1). */
const SPS_LENGTH_AT = 6;
const SPS_AT = 8;
/** Of the number of channels in the identification header of Opus. */
const OPUS_CHANNELS_AT = 9;
/** In the third byte of AV1's record: bit depth, monochrome and subsampling. */
const AV1_SAMPLES = 0x7c;

/** @throws {RangeError} */
export function videoConfigOf(header: FlvTag): VideoTrackFormat {
  const fourcc = fourccOf(header);
  const config = Buffer.from(header.data.subarray(VIDEO_HEADER_BYTES));
  if (fourcc && fourcc !== 'Opus') {
    if (!header.frameSize) throw new RangeError('the sequence header of the video has no frame size');
    return { kind: 'video', codec: fourcc, ...header.frameSize, config };
  }
  const sps = spsOf(config);
  if (!sps) throw new RangeError('the sequence header of the video has no valid parameter set');
  return { kind: 'video', codec: 'avc1', width: sps.width, height: sps.height, config };
}

/** The first one of a decoder configuration record. */
function spsOf(config: Buffer): SpsInfo | undefined {
  if (config.length <= SPS_AT) return undefined;
  return parseSps(config.subarray(SPS_AT, SPS_AT + config.readUInt16BE(SPS_LENGTH_AT)));
}

/** Whether two sequence headers of video describe frames of the same codec and size. */
export const hasSameSize = (one: FlvTag, other: FlvTag): boolean => isAlike(one, other, () => '');

/**
 * Whether a track can go on after a sequence header with what the other one describes: codec, frame size, profile and
 * sample format are equal. Levels, colours, ids of parameter sets and the like may differ.
 */
export const isSameTrack = (one: FlvTag, other: FlvTag): boolean => isAlike(one, other, sampleFormatOf);

function isAlike(one: FlvTag, other: FlvTag, more: (format: VideoTrackFormat) => string): boolean {
  try {
    const [first, second] = [videoConfigOf(one), videoConfigOf(other)];
    const isSameSize = first.width === second.width && first.height === second.height;
    return first.codec === second.codec && isSameSize && more(first) === more(second);
  } catch (error) {
    // What cannot be read is a format of its own, which then fails with a reason.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** Profile, bit depth and chroma sampling, as the codec's record says. */
function sampleFormatOf({ codec, config }: VideoTrackFormat): string {
  switch (codec) {
    case 'avc1':
    case 'avc3': {
      const { profile, chromaFormat, bitDepthLuma, bitDepthChroma } = spsOf(config)!;
      return [profile, chromaFormat, bitDepthLuma, bitDepthChroma].join();
    }
    case 'vp08':
    case 'vp09':
      return [config[0], config[2]! >> 1].join();
    case 'av01':
      return [config[1]! >> 5, config[2]! & AV1_SAMPLES].join();
  }
}

/** @throws {RangeError} */
export function audioConfigOf(header: FlvTag): AudioTrackFormat {
  if (fourccOf(header) === 'Opus') {
    const channels = header.data[ENHANCED_HEADER_BYTES + OPUS_CHANNELS_AT] ?? 0;
    return { kind: 'audio', codec: 'Opus', sampleRate: OPUS_SAMPLE_RATE, channels, config: Buffer.alloc(0) };
  }
  const config = Buffer.from(header.data.subarray(AAC_HEADER_BYTES));
  return { kind: 'audio', codec: 'mp4a', ...parseAudioSpecificConfig(config), config };
}

/** Bytes of a tag's body before the media of an audio track. */
export const audioBytesAt = ({ codec }: AudioTrackFormat): number =>
  codec === 'Opus' ? ENHANCED_HEADER_BYTES : AAC_HEADER_BYTES;
