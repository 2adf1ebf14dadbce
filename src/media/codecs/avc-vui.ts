import type { BitReader } from '../bits.ts';

const EXTENDED_SAR = 255;
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

/** Video usability information, as far as the parameter set has it (ITU-T H.264, annex E). */
export interface Usability {
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
  if (reader.bit() && reader.bits(8) === EXTENDED_SAR) reader.skip(32);
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
