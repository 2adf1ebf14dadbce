import { BitReader } from '../bits.ts';

/** Lengths and values of ISO/IEC 14496-3, 4.4.2.1. */
const ID_BITS = 3;
const ID_SINGLE_CHANNEL_ELEMENT = 0;
const ID_FILL_ELEMENT = 6;
const INSTANCE_TAG_BITS = 4;
const GLOBAL_GAIN_BITS = 8;
const LONG_INFO_BITS = 11;
const SHORT_INFO_BITS = 15;
const EIGHT_SHORT_SEQUENCE = 2;
const SHORT_WINDOWS = 8;
/** The longest section that one length field can express, and the bits of that field. */
const LONG_SECTION = { bits: 5, longest: 31 };
const SHORT_SECTION = { bits: 3, longest: 7 };
/**
 * The most bytes that are added to a frame: the second channel with all its sections, 47 bands in steps of 7 for each
 * of 8 windows.
 */
const MAX_ADDED_BYTES = 64;

/**
 * Turns a raw AAC-LC frame of one channel into one of two: a channel pair whose middle is that channel and whose side
 * is silent, so that both channels are alike. Encoding one channel costs half as much as two, and the stream still has
 * two channels. Decodes to the same samples, if the encoder used neither noise substitution nor temporal noise shaping,
 * which a decoder applies to each channel separately.
 *
 * @returns `undefined` if it is not a frame of exactly one channel
 */
export function stereoFromMono(mono: Buffer): Buffer | undefined {
  const end = endOfChannel(mono);
  if (end === undefined) return undefined;
  const channel = readChannel(mono);
  if (!channel || channel.endOfInfo > end) return undefined;

  const writer = new FrameWriter(mono.length + MAX_ADDED_BYTES);
  writer.bits(3, 1); // CHANNEL_PAIR_ELEMENT
  writer.bits(4, 0); // element_instance_tag
  writer.bits(1, 1); // common_window: one ics_info for both channels
  writer.copy(mono, channel.info, channel.endOfInfo);
  writer.bits(2, 2); // ms_mask_present: the channels are middle and side in all bands
  writer.bits(GLOBAL_GAIN_BITS, channel.globalGain);
  writer.copy(mono, channel.endOfInfo, end);
  writeSilentChannel(writer, channel);
  writer.bits(ID_BITS, 7); // END
  return writer.finish();
}

/** The end of the channel in bits: before END, which is three ones, and the zeros that fill the last byte. */
function endOfChannel(frame: Buffer): number | undefined {
  const last = frame.at(-1);
  if (!last) return undefined;
  const trailingZeros = 31 - Math.clz32(last & -last);
  return frame.length * 8 - trailingZeros - ID_BITS;
}

interface Channel {
  readonly globalGain: number;
  readonly short: boolean;
  /** Number of coded bands in each group of windows. */
  readonly maxBand: number;
  readonly groups: number;
  /** Beginning and end of ics_info, in bits. */
  readonly info: number;
  readonly endOfInfo: number;
}

function readChannel(frame: Buffer): Channel | undefined {
  const reader = new BitReader(frame);
  try {
    const element = skipFill(reader);
    if (element === undefined) return undefined;
    reader.skip(INSTANCE_TAG_BITS);
    const globalGain = reader.bits(GLOBAL_GAIN_BITS);
    const info = element + ID_BITS + INSTANCE_TAG_BITS + GLOBAL_GAIN_BITS;
    reader.skip(1); // ics_reserved_bit
    const short = reader.bits(2) === EIGHT_SHORT_SEQUENCE;
    reader.skip(1); // window_shape
    if (short) {
      const maxBand = reader.bits(4);
      let groups = SHORT_WINDOWS;
      // A bit that is set adds a window to the group of the previous one.
      for (let window = 1; window < SHORT_WINDOWS; window++) groups -= reader.bit();
      return { globalGain, short, maxBand, groups, info, endOfInfo: info + SHORT_INFO_BITS };
    }
    const maxBand = reader.bits(6);
    const predicts = reader.bit() === 1; // never in AAC-LC
    return predicts ? undefined : { globalGain, short, maxBand, groups: 1, info, endOfInfo: info + LONG_INFO_BITS };
  } catch {
    return undefined;
  }
}

/** Skips fill elements and the id of the single channel. @returns the beginning of that element, in bits */
function skipFill(reader: BitReader): number | undefined {
  for (let position = 0; ;) {
    const id = reader.bits(ID_BITS);
    if (id === ID_SINGLE_CHANNEL_ELEMENT) return position;
    if (id !== ID_FILL_ELEMENT) return undefined;
    let bytes = reader.bits(4);
    position += ID_BITS + 4;
    if (bytes === 15) {
      bytes += reader.bits(8) - 1;
      position += 8;
    }
    reader.skip(bytes * 8);
    position += bytes * 8;
  }
}

/** individual_channel_stream in which every band has the zero codebook. */
function writeSilentChannel(writer: FrameWriter, { short, maxBand, groups }: Channel): void {
  const { bits, longest } = short ? SHORT_SECTION : LONG_SECTION;
  writer.bits(8, 0); // global_gain
  for (let group = 0; group < groups && maxBand > 0; group++) {
    writer.bits(4, 0); // sect_cb: ZERO_HCB
    let length = maxBand;
    for (; length >= longest; length -= longest) writer.bits(bits, longest);
    writer.bits(bits, length);
  }
  writer.bits(3, 0); // pulse_data_present, tns_data_present, gain_control_data_present
}

/** Writes bits into a buffer, and copies long runs of them by bytes. */
class FrameWriter {
  readonly #bytes: Buffer;
  #length = 0;

  constructor(size: number) {
    this.#bytes = Buffer.alloc(size);
  }

  /** At most 8. */
  bits(count: number, value: number): void {
    const at = this.#length >> 3;
    const shifted = value << (16 - count - (this.#length & 7));
    this.#bytes[at]! |= shifted >> 8;
    this.#bytes[at + 1]! |= shifted & 0xff;
    this.#length += count;
  }

  copy(from: Buffer, startBit: number, endBit: number): void {
    const bytes = this.#bytes;
    const wholeBytes = (endBit - startBit) >> 3;
    // Both shifts are the same for all bytes.
    const [readShift, writeShift] = [8 - (startBit & 7), this.#length & 7];
    let [read, write] = [startBit >> 3, this.#length >> 3];
    for (let i = 0; i < wholeBytes; i++, read++, write++) {
      const byte = (((from[read]! << 8) | (from[read + 1] ?? 0)) >> readShift) & 0xff;
      bytes[write]! |= byte >> writeShift;
      bytes[write + 1] = byte << (8 - writeShift);
    }
    this.#length += wholeBytes * 8;
    for (let bit = startBit + wholeBytes * 8; bit < endBit; bit++)
      this.bits(1, (from[bit >> 3]! >> (7 - (bit & 7))) & 1);
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, (this.#length + 7) >> 3);
  }
}
