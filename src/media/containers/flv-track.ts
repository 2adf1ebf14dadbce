import { parseAudioSpecificConfig } from '../codecs/aac.ts';
import { parseSps } from '../codecs/avc.ts';
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

/** @throws {RangeError} */
export function videoConfigOf(header: FlvTag): VideoTrackFormat {
  const fourcc = fourccOf(header);
  const config = Buffer.from(header.data.subarray(VIDEO_HEADER_BYTES));
  if (fourcc && fourcc !== 'Opus') {
    if (!header.frameSize) throw new RangeError('the sequence header of the video has no frame size');
    return { kind: 'video', codec: fourcc, ...header.frameSize, config };
  }
  const end = config.length > SPS_AT ? SPS_AT + config.readUInt16BE(SPS_LENGTH_AT) : 0;
  const sps = end > 0 ? parseSps(config.subarray(SPS_AT, end)) : undefined;
  if (!sps) throw new RangeError('the sequence header of the video has no valid parameter set');
  return { kind: 'video', codec: 'avc1', width: sps.width, height: sps.height, config };
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
