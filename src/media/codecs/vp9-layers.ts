import { BitReader, BitWriter } from '../bits.ts';

/**
 * Spatial layers of VP9 as one stream. The frames of all layers of a picture claim to be shown, and only decoders that
 * know about layers show the highest one alone. Any decoder does if the lower ones are hidden frames of a superframe.
 */

export interface FrameSize {
  readonly width: number;
  readonly height: number;
}

/** As many frames as a superframe can have. */
export const MAX_SUPERFRAME_FRAMES = 8;

const REFERENCES = 8;
const SYNC_CODE = 0x498342;
const COLORS_RGB = 7;

/** The bits of an uncompressed header (VP9 bitstream specification, 6.2). */
interface HeaderBits {
  /** The place of `show_frame`; `undefined` if the frame only shows another one. */
  readonly showAt: number | undefined;
  readonly isShown: boolean;
  readonly isKey: boolean;
  readonly size: FrameSize;
  readonly bits: number;
}

/** Reads frames in the order of decoding, because their size may be that of a frame they refer to. */
export class Vp9Layers {
  readonly #references: (FrameSize | undefined)[] = new Array<undefined>(REFERENCES).fill(undefined);

  /**
   * Reads a frame that stays as it is.
   *
   * @returns its size
   * @throws {RangeError} if its header is invalid
   */
  follow(frame: Buffer): FrameSize {
    return this.#read(frame).size;
  }

  /**
   * The same frame for references only; `undefined` if there is nothing to decode in it.
   *
   * @throws {RangeError} if its header is invalid
   */
  hide(frame: Buffer): Buffer | undefined {
    const { showAt, isShown, isKey, bits } = this.#read(frame);
    if (showAt === undefined) return undefined;
    if (!isShown) return frame;
    const reader = new BitReader(frame);
    const writer = new BitWriter();
    const copy = (count: number): void => {
      for (let i = 0; i < count; i++) writer.bits(1, reader.bit());
    };
    copy(showAt);
    reader.skip(1);
    writer.bits(1, 0);
    copy(1); // error_resilient_mode
    if (!isKey) writer.bits(1, 0); // intra_only, which frames that are shown do not have
    copy(bits - showAt - 2);
    return Buffer.concat([writer.align(0).toBuffer(), frame.subarray((bits + 7) >> 3)]);
  }

  #read(frame: Buffer): HeaderBits {
    const reader = new BitReader(frame);
    if (reader.bits(2) !== 2) throw new RangeError('not a VP9 frame');
    const profile = reader.bit() + 2 * reader.bit();
    if (profile === 3) reader.skip(1);
    if (reader.bit()) {
      const size = this.#reference(reader.bits(3));
      return { showAt: undefined, isShown: true, isKey: false, size, bits: reader.position };
    }
    const isKey = reader.bit() === 0;
    const showAt = reader.position;
    const isShown = reader.bit() === 1;
    const resilient = reader.bit() === 1;
    const { size, refreshed } = isKey ? readKey(reader, profile) : this.#readOther(reader, profile, isShown, resilient);
    if (!resilient) reader.skip(2); // refresh_frame_context, frame_parallel_decoding_mode
    reader.skip(2); // frame_context_idx
    skipLoopFilter(reader);
    skipQuantization(reader);
    skipSegmentation(reader);
    skipTiles(reader, size.width);
    reader.skip(16); // header_size_in_bytes
    for (let index = 0; index < REFERENCES; index++) if ((refreshed >> index) & 1) this.#references[index] = size;
    return { showAt, isShown, isKey, size, bits: reader.position };
  }

  #readOther(
    reader: BitReader,
    profile: number,
    isShown: boolean,
    resilient: boolean,
  ): { size: FrameSize; refreshed: number } {
    const intraOnly = isShown ? 0 : reader.bit();
    if (!resilient) reader.skip(2); // reset_frame_context
    if (intraOnly) {
      if (reader.bits(24) !== SYNC_CODE) throw new RangeError('VP9 intra frame without its sync code');
      if (profile > 0) skipColors(reader, profile);
      const refreshed = reader.bits(8);
      return { refreshed, size: readSize(reader) };
    }
    const refreshed = reader.bits(8);
    const used = [0, 1, 2].map(() => reader.bits(4) >> 1); // each with a sign bias
    let size: FrameSize | undefined;
    for (const index of used)
      if (reader.bit()) {
        size = this.#reference(index);
        break;
      }
    size ??= readDimensions(reader);
    skipRenderSize(reader);
    reader.skip(1); // allow_high_precision_mv
    if (!reader.bit()) reader.skip(2); // interpolation filter
    return { size, refreshed };
  }

  #reference(index: number): FrameSize {
    const size = this.#references[index];
    if (!size) throw new RangeError('VP9 frame refers to a missing one');
    return size;
  }
}

/** Frames that are decoded together, with the index behind them (VP9 bitstream specification, annex B). */
export function vp9Superframe(frames: readonly Buffer[]): Buffer {
  if (frames.length > MAX_SUPERFRAME_FRAMES) throw new RangeError('too many frames');
  const SIZE_BYTES = 4;
  const index = Buffer.alloc(2 + SIZE_BYTES * frames.length);
  const marker = 0xc0 | ((SIZE_BYTES - 1) << 3) | (frames.length - 1);
  index[0] = marker;
  index[index.length - 1] = marker;
  for (const [at, { length }] of frames.entries()) index.writeUInt32LE(length, 1 + SIZE_BYTES * at);
  return Buffer.concat([...frames, index]);
}

function readKey(reader: BitReader, profile: number): { size: FrameSize; refreshed: number } {
  if (reader.bits(24) !== SYNC_CODE) throw new RangeError('VP9 key frame without its sync code');
  skipColors(reader, profile);
  return { size: readSize(reader), refreshed: 0xff };
}

function readSize(reader: BitReader): FrameSize {
  const size = readDimensions(reader);
  skipRenderSize(reader);
  return size;
}

const readDimensions = (reader: BitReader): FrameSize => ({ width: reader.bits(16) + 1, height: reader.bits(16) + 1 });

function skipRenderSize(reader: BitReader): void {
  if (reader.bit()) reader.skip(32);
}

function skipColors(reader: BitReader, profile: number): void {
  if (profile >= 2) reader.skip(1); // ten_or_twelve_bit
  const isRgb = reader.bits(3) === COLORS_RGB;
  if (!isRgb) reader.skip(1); // color_range
  if (profile & 1) reader.skip(isRgb ? 1 : 3); // subsampling, reserved_zero
}

function skipLoopFilter(reader: BitReader): void {
  const DELTAS = 6;
  reader.skip(9); // level, sharpness
  if (!reader.bit() || !reader.bit()) return; // loop_filter_delta_enabled, loop_filter_delta_update
  for (let i = 0; i < DELTAS; i++) if (reader.bit()) reader.skip(7);
}

function skipQuantization(reader: BitReader): void {
  const DELTAS = 3;
  reader.skip(8); // base_q_idx
  for (let i = 0; i < DELTAS; i++) if (reader.bit()) reader.skip(5);
}

/** Bits of the values of a segment, with their sign. */
const SEGMENT_FEATURES = [9, 7, 2, 0];

function skipSegmentation(reader: BitReader): void {
  const SEGMENTS = 8;
  if (!reader.bit()) return; // segmentation_enabled
  if (reader.bit()) {
    for (let i = 0; i < 7; i++) if (reader.bit()) reader.skip(8); // probabilities of the tree
    if (reader.bit()) for (let i = 0; i < 3; i++) if (reader.bit()) reader.skip(8); // of the prediction
  }
  if (!reader.bit()) return; // segmentation_update_data
  reader.skip(1); // segmentation_abs_or_delta_update
  for (let segment = 0; segment < SEGMENTS; segment++)
    for (const bits of SEGMENT_FEATURES) if (reader.bit()) reader.skip(bits);
}

/** The number of bits depends on how many columns of tiles the width allows. */
function skipTiles(reader: BitReader, width: number): void {
  const superblocks = (width + 63) >> 6;
  let least = 0;
  while (64 << least < superblocks) least++;
  let most = 0;
  while (superblocks >> (most + 1) >= 4) most++;
  for (let columns = least; columns < most && reader.bit(); columns++);
  if (reader.bit()) reader.skip(1); // rows
}
