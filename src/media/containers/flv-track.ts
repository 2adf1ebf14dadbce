import { parseAudioSpecificConfig } from '../codecs/aac.ts';
import { parseSps } from '../codecs/avc.ts';
import type { FlvTag } from './flv-tag.ts';
import type { AudioTrackFormat, VideoTrackFormat } from './mp4-boxes.ts';

/** What sequence headers of FLV say about their track. Pure. */

const VIDEO_HEADER_BYTES = 5;
const AUDIO_HEADER_BYTES = 2;
/** Offsets in the AVC decoder configuration record (ISO/IEC 14496-15, 5.3.3.1). */
const SPS_LENGTH_AT = 6;
const SPS_AT = 8;

/** @throws {RangeError} */
export function videoConfigOf({ data }: FlvTag): VideoTrackFormat {
  const config = Buffer.from(data.subarray(VIDEO_HEADER_BYTES));
  const end = config.length > SPS_AT ? SPS_AT + config.readUInt16BE(SPS_LENGTH_AT) : 0;
  const sps = end > 0 ? parseSps(config.subarray(SPS_AT, end)) : undefined;
  if (!sps) throw new RangeError('the sequence header of the video has no valid parameter set');
  return { kind: 'video', width: sps.width, height: sps.height, config };
}

/** @throws {RangeError} */
export function audioConfigOf({ data }: FlvTag): AudioTrackFormat {
  const config = Buffer.from(data.subarray(AUDIO_HEADER_BYTES));
  return { kind: 'audio', ...parseAudioSpecificConfig(config), config };
}
