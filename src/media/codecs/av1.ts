import { BitReader } from '../bits.ts';

/** Sequence headers of AV1, and the configuration that MP4 files have for them. Pure. */

export const OBU_SEQUENCE_HEADER = 1;
export const OBU_TEMPORAL_DELIMITER = 2;
const HAS_EXTENSION = 0x04;
const HAS_SIZE = 0x02;

/** AV1 specification, 4.10.5; values over 32 bits are not allowed. */
export function readLeb128(bytes: Buffer, offset: number): { value: number; bytes: number } | undefined {
  let value = 0;
  for (let i = 0; i < 8; i++) {
    const byte = bytes[offset + i];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (!(byte & 0x80)) return value < 2 ** 32 ? { value, bytes: i + 1 } : undefined;
  }
  return undefined;
}

interface SequenceStart {
  readonly profile: number;
  readonly reduced: boolean;
  /** Of the first operating point. */
  readonly level: number;
  readonly tier: number;
  /** The largest frame size in pixels. */
  readonly width: number;
  readonly height: number;
}

/**
 * The largest frame size, from the body of a sequence header (AV1 specification, 5.5.1).
 *
 * @throws {RangeError} if it ends too early
 */
export function parseSequenceSize(body: Buffer): { width: number; height: number } {
  const { width, height } = readStart(new BitReader(body));
  return { width, height };
}

/**
 * A temporal unit as MP4 files have it: without temporal delimiters (AV1 Codec ISO Media File Format Binding, 2.4).
 *
 * @param unit in the low-overhead format; its delimiter is first
 */
export const withoutDelimiter = (unit: Buffer): Buffer =>
  unit[0]! >> 3 === OBU_TEMPORAL_DELIMITER ? unit.subarray(2) : unit;

/**
 * The configuration record (AV1 Codec ISO Media File Format Binding, 2.3.3) with the sequence header.
 *
 * @param unit a temporal unit with a key frame, in the low-overhead format
 * @throws {RangeError} if it has no valid sequence header
 */
export function av1Record(unit: Buffer): Buffer {
  const found = findSequenceHeader(unit);
  if (!found) throw new RangeError('the key frame has no sequence header');
  const { obu, body } = found;
  const reader = new BitReader(body);
  const start = readStart(reader);
  const colors = readColors(reader, start);
  return Buffer.concat([
    Buffer.of(0x81, (start.profile << 5) | start.level, (start.tier << 7) | colors, 0), // marker and version; no delay
    obu,
  ]);
}

/** Whether a temporal unit in the low-overhead format has a sequence header. */
export const hasSequenceHeader = (unit: Buffer): boolean => findSequenceHeader(unit) !== undefined;

function findSequenceHeader(unit: Buffer): { obu: Buffer; body: Buffer } | undefined {
  for (let at = 0; at < unit.length;) {
    const header = unit[at]!;
    const sizeAt = at + (header & HAS_EXTENSION ? 2 : 1);
    const size = header & HAS_SIZE ? readLeb128(unit, sizeAt) : undefined;
    if (!size) break;
    const bodyAt = sizeAt + size.bytes;
    const end = bodyAt + size.value;
    if (end > unit.length) break;
    if (((header >> 3) & 0x0f) === OBU_SEQUENCE_HEADER)
      return { obu: unit.subarray(at, end), body: unit.subarray(bodyAt, end) };
    at = end;
  }
  return undefined;
}

function readStart(reader: BitReader): SequenceStart {
  const profile = reader.bits(3);
  reader.skip(1); // still_picture
  const reduced = reader.bit() === 1;
  const { level, tier } = reduced ? { level: reader.bits(5), tier: 0 } : readOperatingPoints(reader);
  const widthBits = reader.bits(4) + 1;
  const heightBits = reader.bits(4) + 1;
  return { profile, reduced, level, tier, width: reader.bits(widthBits) + 1, height: reader.bits(heightBits) + 1 };
}

/** @returns level and tier of the first point */
function readOperatingPoints(reader: BitReader): { level: number; tier: number } {
  let delayBits: number | undefined;
  if (reader.bit()) {
    reader.skip(64); // num_units_in_display_tick, time_scale
    if (reader.bit()) reader.unsignedGolomb(); // num_ticks_per_picture_minus_1
    if (reader.bit()) {
      delayBits = reader.bits(5) + 1;
      reader.skip(32 + 5 + 5); // num_units_in_decoding_tick, lengths of removal and presentation time
    }
  }
  const initialDisplayDelay = reader.bit();
  const points = reader.bits(5) + 1;
  let first: { level: number; tier: number } | undefined;
  for (let point = 0; point < points; point++) {
    reader.skip(12); // operating_point_idc
    const level = reader.bits(5);
    const tier = level > 7 ? reader.bit() : 0;
    if (delayBits !== undefined && reader.bit()) reader.skip(2 * delayBits + 1);
    if (initialDisplayDelay && reader.bit()) reader.skip(4);
    first ??= { level, tier };
  }
  return first!;
}

/** The rest of the header. @returns the lower seven bits of the third byte of the configuration record */
function readColors(reader: BitReader, { reduced, profile }: SequenceStart): number {
  if (!reduced && reader.bit()) reader.skip(4 + 3); // lengths of frame ids
  reader.skip(3); // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
  if (!reduced) skipTools(reader);
  reader.skip(3); // enable_superres, enable_cdef, enable_restoration
  const highBitDepth = reader.bit();
  const twelveBit = profile === 2 && highBitDepth ? reader.bit() : 0;
  const monochrome = profile === 1 ? 0 : reader.bit();
  const sampling = readSampling(reader, { profile, twelveBit, monochrome });
  return (highBitDepth << 6) | (twelveBit << 5) | (monochrome << 4) | sampling;
}

function skipTools(reader: BitReader): void {
  const SELECTED_BY_FRAME = 2;
  reader.skip(4); // enable_interintra_compound, enable_masked_compound, enable_warped_motion, enable_dual_filter
  const hasOrderHint = reader.bit();
  if (hasOrderHint) reader.skip(2); // enable_jnt_comp, enable_ref_frame_mvs
  const screenContent = reader.bit() ? SELECTED_BY_FRAME : reader.bit();
  if (screenContent > 0 && !reader.bit()) reader.skip(1); // seq_force_integer_mv
  if (hasOrderHint) reader.skip(3); // order_hint_bits_minus_1
}

const SRGB = [1, 13, 0].join('/');

/** @returns horizontal and vertical subsampling, and the position of chroma samples */
function readSampling(
  reader: BitReader,
  { profile, twelveBit, monochrome }: { profile: number; twelveBit: number; monochrome: number },
): number {
  const colors = reader.bit() ? [reader.bits(8), reader.bits(8), reader.bits(8)].join('/') : '';
  const packed = (x: number, y: number): number => {
    const position = x && y && !monochrome ? reader.bits(2) : 0;
    return (x << 3) | (y << 2) | position;
  };
  if (!monochrome && colors === SRGB) return packed(0, 0);
  reader.skip(1); // color_range
  if (monochrome || profile === 0) return packed(1, 1);
  if (profile === 1) return packed(0, 0);
  if (!twelveBit) return packed(1, 0);
  const x = reader.bit();
  return packed(x, x ? reader.bit() : 0);
}
