/** Limits of a level (ITU-T H.264, table A-1). Bitrates are those of the profiles Baseline and Main. */
interface LevelLimits {
  /** level_idc: 31 is level 3.1. */
  readonly level: number;
  /** MaxMBPS: macroblocks per second. */
  readonly rate: number;
  /** MaxFS: macroblocks of a frame. */
  readonly frame: number;
  /** MaxDpbMbs: macroblocks of all frames that a decoder stores. */
  readonly stored: number;
  /** MaxBR: 1000 bits per second. */
  readonly bitrate: number;
  /** MaxCPB: 1000 bits. */
  readonly buffer: number;
}

const limits = (
  level: number,
  rate: number,
  frame: number,
  stored: number,
  bitrate: number,
  buffer: number,
): LevelLimits => ({ level, rate, frame, stored, bitrate, buffer });

/** Without level 1b, which the profiles signal in different ways. */
const LEVELS: readonly LevelLimits[] = [
  limits(10, 1485, 99, 396, 64, 175),
  limits(11, 3000, 396, 900, 192, 500),
  limits(12, 6000, 396, 2376, 384, 1000),
  limits(13, 11_880, 396, 2376, 768, 2000),
  limits(20, 11_880, 396, 2376, 2000, 2000),
  limits(21, 19_800, 792, 4752, 4000, 4000),
  limits(22, 20_250, 1620, 8100, 4000, 4000),
  limits(30, 40_500, 1620, 8100, 10_000, 10_000),
  limits(31, 108_000, 3600, 18_000, 14_000, 14_000),
  limits(32, 216_000, 5120, 20_480, 20_000, 20_000),
  limits(40, 245_760, 8192, 32_768, 20_000, 25_000),
  limits(41, 245_760, 8192, 32_768, 50_000, 62_500),
  limits(42, 522_240, 8704, 34_816, 50_000, 62_500),
  limits(50, 589_824, 22_080, 110_400, 135_000, 135_000),
  limits(51, 983_040, 36_864, 184_320, 240_000, 240_000),
  limits(52, 2_073_600, 36_864, 184_320, 240_000, 240_000),
  limits(60, 4_177_920, 139_264, 696_320, 240_000, 240_000),
  limits(61, 8_355_840, 139_264, 696_320, 480_000, 480_000),
  limits(62, 16_711_680, 139_264, 696_320, 800_000, 800_000),
];

const MACROBLOCK = 16;
/** A side has at most the square root of this number of largest frames (A.3.1). */
const SIDE_FACTOR = 8;

export interface LevelNeeds {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Frames per second. */
  readonly fps: number;
  /** Kilobits per second at most, and of the buffer that this is measured with. */
  readonly bitrate: number;
  readonly buffer?: number;
  /** Frames that a decoder stores. */
  readonly storedFrames?: number;
}

/** The level_idc of the lowest level that allows a stream of the profile Baseline or Main; the highest one if none does. */
export function lowestAvcLevel({
  width,
  height,
  fps,
  bitrate,
  buffer = bitrate,
  storedFrames = 1,
}: LevelNeeds): number {
  const columns = Math.ceil(width / MACROBLOCK);
  const rows = Math.ceil(height / MACROBLOCK);
  const frame = columns * rows;
  const found = LEVELS.find(
    (level) =>
      frame <= level.frame &&
      Math.max(columns, rows) ** 2 <= SIDE_FACTOR * level.frame &&
      frame * fps <= level.rate &&
      frame * storedFrames <= level.stored &&
      bitrate <= level.bitrate &&
      buffer <= level.buffer,
  );
  return (found ?? LEVELS.at(-1)!).level;
}
