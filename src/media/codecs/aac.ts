import { BitWriter } from '../bits.ts';
import { audioTagHeader } from '../containers/audio-tag.ts';

/** AAC-LC: samples per channel in one frame. */
export const AAC_SAMPLES_PER_FRAME = 1024;

/** Hertz by index, ISO/IEC 14496-3, table 1.18. */
const SAMPLE_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
const AAC_LC = 2;
const SEQUENCE_HEADER = 0;
const RAW = 1;

export interface AacConfig {
  /** Hertz. */
  readonly sampleRate: number;
  readonly channels: number;
}

const ADTS_HEADER_BYTES = 7;
const ADTS_CRC_BYTES = 2;

/** Splits ADTS (ISO/IEC 13818-7, 6.2), given in chunks of any size, into frames. Skips bytes that are not a frame. */
export class AdtsReader {
  #rest: Buffer = Buffer.alloc(0);
  #config: AacConfig | undefined;

  /** From the first frame's header. */
  get config(): AacConfig | undefined {
    return this.#config;
  }

  /** Returns the raw AAC frames that are complete, as views; the next call keeps them intact. */
  push(chunk: Buffer): Buffer[] {
    // At most one frame (8 kB) is left over, so joining costs little.
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    const frames: Buffer[] = [];
    let offset = 0;
    while (offset + ADTS_HEADER_BYTES <= bytes.length) {
      const header = parseAdtsHeader(bytes, offset);
      if (!header) {
        offset++;
        continue;
      }
      if (offset + header.frameBytes > bytes.length) break;
      this.#config ??= header.config;
      frames.push(bytes.subarray(offset + header.headerBytes, offset + header.frameBytes));
      offset += header.frameBytes;
    }
    this.#rest = bytes.subarray(offset);
    return frames;
  }
}

function parseAdtsHeader(
  bytes: Buffer,
  offset: number,
): { config: AacConfig; headerBytes: number; frameBytes: number } | undefined {
  // Sync word and layer 0; bit 12 is the MPEG version, the last one says that there is no CRC.
  if (bytes[offset] !== 0xff || (bytes[offset + 1]! & 0xf6) !== 0xf0) return undefined;
  const headerBytes = ADTS_HEADER_BYTES + (bytes[offset + 1]! & 1 ? 0 : ADTS_CRC_BYTES);
  const sampleRate = SAMPLE_RATES[(bytes[offset + 2]! >> 2) & 0x0f];
  const channels = ((bytes[offset + 2]! & 1) << 2) | (bytes[offset + 3]! >> 6);
  const frameBytes = ((bytes[offset + 3]! & 3) << 11) | (bytes[offset + 4]! << 3) | (bytes[offset + 5]! >> 5);
  const furtherBlocks = bytes[offset + 6]! & 3;
  if (sampleRate === undefined || channels === 0 || frameBytes <= headerBytes || furtherBlocks !== 0) return undefined;
  return { config: { sampleRate, channels }, headerBytes, frameBytes };
}

/**
 * The AudioSpecificConfig of AAC-LC (ISO/IEC 14496-3, 1.6.2.1).
 *
 * @throws {RangeError} when AAC has no such sample rate or number of channels
 */
export function audioSpecificConfig(sampleRate: number, channels: number): Buffer {
  const index = SAMPLE_RATES.indexOf(sampleRate);
  if (index < 0) throw new RangeError(`AAC has no sample rate of ${sampleRate} Hz`);
  if (!(channels >= 1 && channels <= 6)) throw new RangeError(`AAC in FLV has 1 to 6 channels, not ${channels}`);
  return new BitWriter().bits(5, AAC_LC).bits(4, index).bits(4, channels).bits(3, 0).toBuffer();
}

/**
 * What an AudioSpecificConfig of AAC-LC says.
 *
 * @throws {RangeError} if it is invalid
 */
export function parseAudioSpecificConfig(config: Buffer): AacConfig {
  const bits = config.length < 2 ? 0 : config.readUInt16BE();
  const sampleRate = SAMPLE_RATES[(bits >> 7) & 0x0f];
  const channels = (bits >> 3) & 0x0f;
  if (bits >> 11 !== AAC_LC || sampleRate === undefined || channels < 1 || channels > 6)
    throw new RangeError('not the configuration of AAC-LC');
  return { sampleRate, channels };
}

/** The body of the audio tag that configures the decoder. Throws as {@link audioSpecificConfig}. */
export function aacSequenceHeader(sampleRate: number, channels: number): Buffer {
  return Buffer.concat([Buffer.of(audioTagHeader('aac'), SEQUENCE_HEADER), audioSpecificConfig(sampleRate, channels)]);
}

/** The body of an audio tag with one raw frame. */
export function aacFrame(raw: Buffer): Buffer {
  const body = Buffer.allocUnsafe(2 + raw.length);
  body[0] = audioTagHeader('aac');
  body[1] = RAW;
  raw.copy(body, 2);
  return body;
}

const ID_SINGLE_CHANNEL_ELEMENT = 0;
const ID_CHANNEL_PAIR_ELEMENT = 1;
const ID_END = 7;

/**
 * A raw AAC-LC frame of 1024 samples of digital silence, for any sample rate: one element in which no scale factor band
 * is coded (max_sfb = 0), so that the whole spectrum is zero (ISO/IEC 14496-3, 4.4.2.1).
 */
export function silentAacFrame(channels: 1 | 2): Buffer {
  const writer = new BitWriter();
  if (channels === 1) {
    writer.bits(3, ID_SINGLE_CHANNEL_ELEMENT).bits(4, 0); // element_instance_tag
    writer.bits(8, 0); // global_gain
    writeIcsInfo(writer);
    writeNoTools(writer);
  } else {
    writer.bits(3, ID_CHANNEL_PAIR_ELEMENT).bits(4, 0); // element_instance_tag
    writer.bits(1, 1); // common_window: one ics_info for both channels
    writeIcsInfo(writer);
    writer.bits(2, 0); // ms_mask_present
    for (let channel = 0; channel < 2; channel++) {
      writer.bits(8, 0); // global_gain
      writeNoTools(writer);
    }
  }
  return writer.bits(3, ID_END).toBuffer();
}

function writeIcsInfo(writer: BitWriter): void {
  writer.bits(1, 0); // ics_reserved_bit
  writer.bits(2, 0); // window_sequence: ONLY_LONG_SEQUENCE
  writer.bits(1, 0); // window_shape: sine
  writer.bits(6, 0); // max_sfb: no band is coded, so no section, scale factor or spectral data follows
  writer.bits(1, 0); // predictor_data_present
}

function writeNoTools(writer: BitWriter): void {
  writer.bits(1, 0); // pulse_data_present
  writer.bits(1, 0); // tns_data_present
  writer.bits(1, 0); // gain_control_data_present
}
