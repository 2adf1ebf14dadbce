import { BitReader } from '../bits.ts';

/** Key frames of VP8 and VP9, and the configuration that MP4 files have for them (VP Codec ISO Media File Format Binding 1.0). Pure. */

/** What the uncompressed header of a VP9 frame says. */
export interface Vp9Header {
  readonly keyFrame: boolean;
  /** Of a key frame. */
  readonly format?: VpxFormat;
}

export interface VpxFormat {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly profile: number;
  readonly bitDepth: number;
  readonly chroma: Chroma;
  readonly fullRange: boolean;
  readonly colors: Colors;
}

/** As `vpcC` counts: 4:2:0 with samples at the same place as luma, 4:2:2, 4:4:4. */
type Chroma = 1 | 2 | 3;
/** ISO/IEC 23001-8: primaries, transfer characteristics, matrix. */
type Colors = readonly [primaries: number, transfer: number, matrix: number];

const UNSPECIFIED: Colors = [2, 2, 2];
const BT709: Colors = [1, 1, 1];
const SRGB: Colors = [1, 13, 0];
/** VP9's numbers of colour spaces. */
const SPACE_BT709 = 2;
const SPACE_RGB = 7;

/**
 * Parses the beginning of the uncompressed header (VP9 bitstream specification, 6.2).
 *
 * @throws {RangeError} if it is not VP9
 */
export function parseVp9Header(data: Buffer): Vp9Header {
  const reader = new BitReader(data);
  if (reader.bits(2) !== 2) throw new RangeError('not a VP9 frame');
  const profile = reader.bit() + 2 * reader.bit();
  if (profile === 3) reader.skip(1);
  const showExistingFrame = reader.bit();
  if (showExistingFrame) return { keyFrame: false };
  const interFrame = reader.bit();
  if (interFrame) return { keyFrame: false };
  reader.skip(2); // show_frame, error_resilient_mode
  if (reader.bits(24) !== 0x498342) throw new RangeError('VP9 key frame without its sync code');
  const bitDepth = profile >= 2 ? (reader.bit() ? 12 : 10) : 8;
  const space = reader.bits(3);
  const isRgb = space === SPACE_RGB;
  const fullRange = isRgb || reader.bit() === 1;
  let chroma: Chroma = isRgb ? 3 : 1;
  if (profile & 1) {
    if (!isRgb) chroma = reader.bit() === 0 ? 3 : reader.bit() === 0 ? 2 : 1;
    // A format without horizontal subsampling has a bit for the vertical one too.
    if (!isRgb && chroma === 3) reader.skip(1);
    reader.skip(1); // reserved
  }
  const width = reader.bits(16) + 1;
  const height = reader.bits(16) + 1;
  const colors = isRgb ? SRGB : space === SPACE_BT709 ? BT709 : UNSPECIFIED;
  return { keyFrame: true, format: { width, height, profile, bitDepth, chroma, fullRange, colors } };
}

/**
 * The configuration record of VP8 (`vpcC` after its version and flags): all there is to know is the size.
 *
 * @param frame a key frame
 */
export function vp8Record(frame: Buffer): Buffer {
  const profile = ((frame[0] ?? 0) >> 1) & 7;
  return record({ width: 0, height: 0, profile, bitDepth: 8, chroma: 1, fullRange: false, colors: UNSPECIFIED }, 0);
}

/**
 * The configuration record of VP9.
 *
 * @param frame a key frame
 * @param size of what is shown, if lower spatial layers come before it
 * @throws {RangeError}
 */
export function vp9Record(frame: Buffer, size?: Pick<VpxFormat, 'width' | 'height'>): Buffer {
  const { format } = parseVp9Header(frame);
  if (!format) throw new RangeError('not a key frame');
  return record(format, levelOf(size ?? format));
}

function record({ profile, bitDepth, chroma, fullRange, colors }: VpxFormat, level: number): Buffer {
  const sampling = (bitDepth << 4) | (chroma << 1) | (fullRange ? 1 : 0);
  return Buffer.of(profile, level, sampling, ...colors, 0, 0); // no data to initialise the codec with
}

/** Level, samples in a second, samples in a frame (VP9 bitstream specification, annex A). */
const LEVELS: readonly (readonly [level: number, perSecond: number, inFrame: number])[] = [
  [10, 829_440, 36_864],
  [11, 2_764_800, 73_728],
  [20, 4_608_000, 122_880],
  [21, 9_216_000, 245_760],
  [30, 20_736_000, 552_960],
  [31, 36_864_000, 983_040],
  [40, 83_558_400, 2_228_224],
  [41, 160_432_128, 2_228_224],
  [50, 311_951_360, 8_912_896],
  [51, 588_251_136, 8_912_896],
  [52, 1_176_502_272, 8_912_896],
  [60, 1_176_502_272, 35_651_584],
  [61, 2_353_004_544, 35_651_584],
  [62, 4_706_009_088, 35_651_584],
];
/** Browsers send at most this many frames per second. */
const MAX_FPS = 60;

function levelOf({ width, height }: Pick<VpxFormat, 'width' | 'height'>): number {
  const samples = width * height;
  const [level] = LEVELS.find(([, perSecond, inFrame]) => samples <= inFrame && samples * MAX_FPS <= perSecond) ?? [62];
  return level;
}
