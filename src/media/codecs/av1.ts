import { BitReader } from '../bits.ts';

/** Sequence headers of AV1, and the configuration that MP4 files have for them. Pure. */

export const OBU_SEQUENCE_HEADER = 1;
export const OBU_TEMPORAL_DELIMITER = 2;
const HAS_EXTENSION = 0x04;
const HAS_SIZE = 0x02;
/** The layers of an operating point: one bit for each of four spatial layers, then one for each temporal one. */
const LAYER_BITS = 12;
const TEMPORAL_LAYERS = 8;
const ALL_TEMPORAL = 0xff;

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
  /** Which layers the first operating point has, and the bit at which that is written; not in a reduced header. */
  readonly layers?: { readonly mask: number; readonly at: number };
  /** Of the first operating point. */
  readonly level: number;
  readonly tier: number;
  /** The largest frame size in pixels. */
  readonly width: number;
  readonly height: number;
}

/** The sequence header of a stream whose highest spatial layers may be left out. */
export class SequenceHeader {
  readonly #body: Buffer;
  readonly #start: SequenceStart;

  /**
   * @param body without the header of the OBU
   * @throws {RangeError} if it ends too early
   */
  constructor(body: Buffer) {
    this.#body = body;
    this.#start = readStart(new BitReader(body));
  }

  /**
   * The body for a stream with the spatial layers up to this one. Decoders wait for the highest layer that is announced.
   */
  upTo(layer: number): Buffer {
    const { layers } = this.#start;
    if (!layers || this.#highestLayer === layer) return this.#body;
    const mask = (((2 << layer) - 1) << TEMPORAL_LAYERS) | (layers.mask & ALL_TEMPORAL || ALL_TEMPORAL);
    const body = Buffer.from(this.#body);
    for (let i = 0; i < LAYER_BITS; i++) {
      const at = layers.at + i;
      const bit = 0x80 >> (at & 7);
      body[at >> 3]! = (mask >> (LAYER_BITS - 1 - i)) & 1 ? body[at >> 3]! | bit : body[at >> 3]! & ~bit;
    }
    return body;
  }

  /** The largest frame size of a spatial layer, each of which has twice the width and height of the one below it. */
  sizeOf(layer: number): { width: number; height: number } {
    const { width, height } = this.#start;
    const halvings = Math.max(this.#highestLayer - layer, 0);
    return { width: width >> halvings, height: height >> halvings };
  }

  get #highestLayer(): number {
    const spatial = (this.#start.layers?.mask ?? 0) >> TEMPORAL_LAYERS;
    return 31 - Math.clz32(spatial | 1);
  }
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
  const point = reduced ? { level: reader.bits(5), tier: 0 } : readOperatingPoints(reader);
  const widthBits = reader.bits(4) + 1;
  const heightBits = reader.bits(4) + 1;
  return { profile, reduced, ...point, width: reader.bits(widthBits) + 1, height: reader.bits(heightBits) + 1 };
}

/** @returns the first point */
function readOperatingPoints(reader: BitReader): Pick<SequenceStart, 'level' | 'tier' | 'layers'> {
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
  let first: Pick<SequenceStart, 'level' | 'tier' | 'layers'> | undefined;
  for (let point = 0; point < points; point++) {
    const layers = { at: reader.position, mask: reader.bits(LAYER_BITS) };
    const level = reader.bits(5);
    const tier = level > 7 ? reader.bit() : 0;
    if (delayBits !== undefined && reader.bit()) reader.skip(2 * delayBits + 1);
    if (initialDisplayDelay && reader.bit()) reader.skip(4);
    first ??= { level, tier, layers };
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
