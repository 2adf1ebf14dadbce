import type { BitReader } from '../bits.ts';

const EXTENDED_SAR = 255;
/** Width and height of a sample by aspect_ratio_idc (table E-1). */
const SAMPLE_ASPECTS: readonly (readonly [width: number, height: number])[] = [
  [0, 0],
  [1, 1],
  [12, 11],
  [10, 11],
  [16, 11],
  [40, 33],
  [24, 11],
  [20, 11],
  [32, 11],
  [80, 33],
  [18, 11],
  [15, 11],
  [64, 33],
  [160, 99],
  [4, 3],
  [3, 2],
  [2, 1],
];
/** Real samples are at most three times as wide as they are high. */
export const MAX_SAMPLE_ASPECT = 4;
/** A colour property that is not known (ITU-T H.273). */
const UNSPECIFIED = 2;
/** Frames that a decoder stores at most (H.264, A.3.1). */
const MAX_REORDER_FRAMES = 16;

/** How samples become colours: numbers of ITU-T H.273; 2 is unspecified. */
export interface VideoColour {
  /** Samples from 0 to 255 instead of 16 to 235. */
  readonly fullRange: boolean;
  readonly primaries: number;
  readonly transfer: number;
  readonly matrix: number;
}

/** The shape of samples; their sides have no unit. */
export interface SampleAspect {
  readonly width: number;
  readonly height: number;
}

/** Video usability information, as far as the parameter set has it (ITU-T H.264, annex E). */
export interface Usability {
  /** Unset: samples are square, or their shape is unknown or absurd. */
  sampleAspect?: SampleAspect;
  /** Frames per second. */
  frameRate?: number;
  colour?: VideoColour;
  /** max_num_reorder_frames */
  reorderFrames?: number;
}

/**
 * Reads the video usability information at the end of the parameter set. If that is damaged, what was read before stays
 * valid.
 */
export function readUsability(reader: BitReader): Usability {
  const found: Usability = {};
  try {
    readUsabilityInto(found, reader);
  } catch {
    // What was found before the end.
  }
  return found;
}

function readUsabilityInto(found: Usability, reader: BitReader): void {
  if (!reader.bit()) return; // vui_parameters_present_flag
  if (reader.bit()) {
    const kind = reader.bits(8);
    const [width, height] =
      kind === EXTENDED_SAR ? [reader.bits(16), reader.bits(16)] : (SAMPLE_ASPECTS[kind] ?? [0, 0]);
    const ratio = width / height;
    if (ratio !== 1 && ratio >= 1 / MAX_SAMPLE_ASPECT && ratio <= MAX_SAMPLE_ASPECT)
      found.sampleAspect = { width, height };
  }
  if (reader.bit()) reader.skip(1); // overscan
  if (reader.bit()) {
    reader.skip(3); // video_format
    const fullRange = reader.bit() === 1;
    const [primaries, transfer, matrix] = reader.bit()
      ? [reader.bits(8), reader.bits(8), reader.bits(8)]
      : [UNSPECIFIED, UNSPECIFIED, UNSPECIFIED];
    found.colour = { fullRange, primaries, transfer, matrix };
  }
  if (reader.bit()) {
    reader.unsignedGolomb(); // chroma sample location
    reader.unsignedGolomb();
  }
  // timing_info_present_flag
  if (reader.bit()) {
    const unitsInTick = reader.bits(32);
    const frameRate = reader.bits(32) / unitsInTick / 2;
    if (frameRate >= 1 && frameRate <= 1000) found.frameRate = frameRate;
    reader.skip(1); // fixed_frame_rate_flag
  }
  const hasNalTimes = reader.bit() === 1;
  if (hasNalTimes) skipDecoderTimes(reader);
  const hasVclTimes = reader.bit() === 1;
  if (hasVclTimes) skipDecoderTimes(reader);
  if (hasNalTimes || hasVclTimes) reader.skip(1); // low_delay_hrd_flag
  reader.skip(1); // pic_struct_present_flag
  // bitstream_restriction_flag
  if (!reader.bit()) return;
  reader.skip(1); // motion_vectors_over_pic_boundaries_flag
  for (let i = 0; i < 4; i++) reader.unsignedGolomb(); // sizes and lengths of motion vectors
  const reorderFrames = reader.unsignedGolomb();
  if (reorderFrames <= MAX_REORDER_FRAMES) found.reorderFrames = reorderFrames;
}

/** hrd_parameters (E.1.2). */
function skipDecoderTimes(reader: BitReader): void {
  const count = reader.unsignedGolomb() + 1;
  reader.skip(8); // scales
  for (let i = 0; i < count; i++) {
    reader.unsignedGolomb();
    reader.unsignedGolomb();
    reader.skip(1);
  }
  reader.skip(20); // lengths of delays
}
