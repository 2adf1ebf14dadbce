import { BitReader } from '../bits.ts';
import { NAL_PPS, nalType, removeEmulationPrevention } from './avc-nal.ts';

/** The fields of a picture parameter set that slices depend on (ITU-T H.264, 7.3.2.2). */
export interface PpsSyntax {
  readonly id: number;
  readonly spsId: number;
  /** Entropy coding: CABAC instead of CAVLC. */
  readonly cabac: boolean;
  /** bottom_field_pic_order_in_frame_present_flag */
  readonly bottomOrderPresent: boolean;
  /** More than one: macroblocks are not in the order of rows. */
  readonly sliceGroups: number;
  /** Entries of list 0 where a slice does not say otherwise. */
  readonly defaultRefs: number;
  readonly weightedPrediction: boolean;
  readonly initialQp: number;
  readonly deblockingControlPresent: boolean;
  readonly redundantPictures: boolean;
}

/** Longer than those of real encoders. */
const MAX_PPS_BYTES = 1024;
const MAX_SLICE_GROUPS = 8;

/** Parses a picture parameter set, including its NAL header. `undefined` if it is not one or is invalid. */
export function parsePps(pps: Buffer): PpsSyntax | undefined {
  if (pps.length < 2 || pps.length > MAX_PPS_BYTES || nalType(pps) !== NAL_PPS) return undefined;
  try {
    return readPps(new BitReader(removeEmulationPrevention(pps.subarray(1))));
  } catch {
    return undefined;
  }
}

function readPps(reader: BitReader): PpsSyntax | undefined {
  const id = reader.unsignedGolomb();
  const spsId = reader.unsignedGolomb();
  const cabac = reader.bit() === 1;
  const bottomOrderPresent = reader.bit() === 1;
  const sliceGroups = reader.unsignedGolomb() + 1;
  if (sliceGroups > MAX_SLICE_GROUPS) return undefined;
  if (sliceGroups > 1) skipSliceGroups(reader, sliceGroups);
  const defaultRefs = reader.unsignedGolomb() + 1;
  reader.unsignedGolomb(); // num_ref_idx_l1_default_active_minus1
  const weightedPrediction = reader.bit() === 1;
  reader.skip(2); // weighted_bipred_idc
  const initialQp = 26 + reader.signedGolomb();
  reader.signedGolomb(); // pic_init_qs_minus26
  reader.signedGolomb(); // chroma_qp_index_offset
  const deblockingControlPresent = reader.bit() === 1;
  reader.skip(1); // constrained_intra_pred_flag
  const redundantPictures = reader.bit() === 1;
  return {
    id,
    spsId,
    cabac,
    bottomOrderPresent,
    sliceGroups,
    defaultRefs,
    weightedPrediction,
    initialQp,
    deblockingControlPresent,
    redundantPictures,
  };
}

/** The map of macroblocks to slice groups, of all kinds. Its length is bounded by the bytes that are there. */
function skipSliceGroups(reader: BitReader, count: number): void {
  const kind = reader.unsignedGolomb();
  if (kind === 0) for (let i = 0; i < count; i++) reader.unsignedGolomb(); // run_length_minus1
  if (kind === 2) for (let i = 0; i < 2 * (count - 1); i++) reader.unsignedGolomb(); // top_left, bottom_right
  if (kind >= 3 && kind <= 5) {
    reader.skip(1); // slice_group_change_direction_flag
    reader.unsignedGolomb(); // slice_group_change_rate_minus1
  }
  if (kind === 6) reader.skip((reader.unsignedGolomb() + 1) * Math.ceil(Math.log2(count))); // slice_group_id
}
