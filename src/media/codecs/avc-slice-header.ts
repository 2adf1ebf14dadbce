import { BitReader, type BitWriter } from '../bits.ts';
import { NAL_IDR_SLICE, nalType, removeEmulationPrevention } from './avc-nal.ts';
import type { SpsSyntax } from './avc.ts';
import type { PpsSyntax } from './avc-pps.ts';

/** What a slice says of its place in the stream (ITU-T H.264, 7.3.3). */
export interface SliceHeader {
  /** nal_ref_idc; 0: no other frame refers to this one. */
  readonly refIdc: number;
  readonly idr: boolean;
  readonly frameNum: number;
  /** pic_order_cnt_lsb, with picture order type 0. */
  readonly orderLsb: number;
  /** delta_pic_order_cnt_bottom, or both values of delta_pic_order_cnt. */
  readonly orderDeltas: readonly number[];
  /** The frame becomes a long-term reference, or all others and its own number are forgotten. */
  readonly specialReference: boolean;
}

/** Slice types are given twice: 5 to 9 promise that all slices of the frame have the same one. */
const P_SLICE = 0;
const B_SLICE = 1;
const I_SLICE = 2;
const SI_SLICE = 4;
const P_SLICES_ONLY = 5;

/** A slice header is at most as long as the lists in it: 32 entries with weights. */
const MAX_HEADER_BYTES = 1024;
/** More than any valid list has: bounds the work on malicious slices. */
const MAX_LIST_ENTRIES = 66;

/** The picture parameter set and the kind of a slice, which are needed to read the rest of it. */
export interface SliceStart {
  readonly ppsId: number;
  /** Not predicted from later frames: I or P. */
  readonly forward: boolean;
}

/** @throws {RangeError} if the slice is incomplete */
export function readSliceStart(nalUnit: Buffer): SliceStart {
  const reader = new BitReader(removeEmulationPrevention(nalUnit.subarray(1, 1 + 32)));
  reader.unsignedGolomb(); // first_mb_in_slice
  const type = reader.unsignedGolomb() % 5;
  return { ppsId: reader.unsignedGolomb(), forward: type === P_SLICE || type === I_SLICE };
}

/** What a slice says of the frame to which it belongs. */
export interface SlicePlace extends SliceStart {
  readonly firstMacroblock: number;
  /** Not predicted from other frames. */
  readonly intra: boolean;
  /** Predicted from two frames, one of which may be shown later. */
  readonly bidirectional: boolean;
  readonly refIdc: number;
  readonly idr: boolean;
  /** What follows needs the parameter sets; `undefined` if they are not known. */
  readonly coded?: {
    readonly frameNum: number;
    /** idr_pic_id, or −1. */
    readonly idrId: number;
    /** Set for a field instead of a frame. */
    readonly field: 'top' | 'bottom' | undefined;
    readonly orderLsb: number;
    readonly orderDeltas: readonly number[];
    /** A copy of a slice that was sent before, with less quality. */
    readonly redundant: boolean;
  };
}

/** Longer than all fields of {@link SlicePlace}. */
export const MAX_PLACE_BYTES = 48;

/**
 * Reads the beginning of a slice of any kind.
 *
 * @param start the first bytes of the NAL unit, at least {@link MAX_PLACE_BYTES} if it is as long
 * @param setsOf the parameter sets of a slice, by the id of its picture parameter set
 * @throws {RangeError} if the slice is incomplete
 */
export function readSlicePlace(
  start: Buffer,
  setsOf: (ppsId: number) => { readonly sps: SpsSyntax; readonly pps: PpsSyntax } | undefined,
): SlicePlace {
  const reader = new BitReader(removeEmulationPrevention(start.subarray(1, MAX_PLACE_BYTES)));
  const firstMacroblock = reader.unsignedGolomb();
  const type = reader.unsignedGolomb() % 5;
  const ppsId = reader.unsignedGolomb();
  const refIdc = (start[0]! >> 5) & 3;
  const idr = nalType(start) === NAL_IDR_SLICE;
  const intra = type === I_SLICE || type === SI_SLICE;
  const forward = type === P_SLICE || type === I_SLICE;
  const place = { firstMacroblock, ppsId, intra, forward, bidirectional: type === B_SLICE, refIdc, idr };
  const sets = setsOf(ppsId);
  if (!sets) return place;
  const { sps, pps } = sets;
  if (sps.separatePlanes) reader.skip(2); // colour_plane_id
  const frameNum = reader.bits(sps.log2MaxFrameNum);
  const isField = !sps.framesOnly && reader.bit() === 1;
  const field = isField ? (reader.bit() ? 'bottom' : 'top') : undefined;
  const idrId = idr ? reader.unsignedGolomb() : -1;
  const { orderLsb, orderDeltas } = readOrder(reader, sps, isField ? { ...pps, bottomOrderPresent: false } : pps);
  const redundant = pps.redundantPictures && reader.unsignedGolomb() > 0;
  return { ...place, coded: { frameNum, idrId, field, orderLsb, orderDeltas, redundant } };
}

/**
 * Whether a slice belongs to another frame than the one before it (ITU-T H.264, 7.4.1.2.4). Slices of one frame may
 * come in any order. Both fields of a frame belong together.
 */
export function beginsFrame(slice: SlicePlace, before: SlicePlace): boolean {
  const [one, other] = [slice.coded, before.coded];
  // Without parameter sets: the next frame begins at its first macroblock.
  if (!one || !other) return slice.idr !== before.idr || slice.firstMacroblock === 0;
  if (one.redundant) return false;
  if (one.frameNum !== other.frameNum) return true;
  if (one.field !== other.field) return one.field === undefined || other.field === undefined;
  return (
    slice.ppsId !== before.ppsId ||
    (slice.refIdc === 0) !== (before.refIdc === 0) ||
    slice.idr !== before.idr ||
    one.idrId !== other.idrId ||
    one.orderLsb !== other.orderLsb ||
    one.orderDeltas.some((delta, index) => delta !== other.orderDeltas[index])
  );
}

/**
 * Reads the header of an I or P slice of a progressive frame up to the reference marking.
 *
 * @throws {RangeError} if it is incomplete or invalid
 */
export function readSliceHeader(nalUnit: Buffer, sps: SpsSyntax, pps: PpsSyntax): SliceHeader {
  const refIdc = (nalUnit[0]! >> 5) & 3;
  const idr = nalType(nalUnit) === NAL_IDR_SLICE;
  const reader = new BitReader(removeEmulationPrevention(nalUnit.subarray(1, 1 + MAX_HEADER_BYTES)));
  reader.unsignedGolomb(); // first_mb_in_slice
  const type = reader.unsignedGolomb() % 5;
  reader.unsignedGolomb(); // pic_parameter_set_id
  const frameNum = reader.bits(sps.log2MaxFrameNum);
  if (idr) reader.unsignedGolomb(); // idr_pic_id
  const { orderLsb, orderDeltas } = readOrder(reader, sps, pps);
  if (pps.redundantPictures) reader.unsignedGolomb(); // redundant_pic_cnt
  if (type === P_SLICE) {
    const refs = reader.bit() ? reader.unsignedGolomb() + 1 : pps.defaultRefs;
    if (refs > MAX_LIST_ENTRIES) throw new RangeError('too many reference frames');
    skipListModification(reader);
    if (pps.weightedPrediction) skipWeights(reader, refs, sps.chromaFormat !== 0);
  }
  const specialReference = refIdc !== 0 && readMarking(reader, idr);
  return { refIdc, idr, frameNum, orderLsb, orderDeltas, specialReference };
}

function readOrder(
  reader: BitReader,
  { pictureOrder }: SpsSyntax,
  { bottomOrderPresent }: PpsSyntax,
): Pick<SliceHeader, 'orderLsb' | 'orderDeltas'> {
  let orderLsb = 0;
  const orderDeltas: number[] = [];
  if (pictureOrder.type === 0) orderLsb = reader.bits(pictureOrder.log2MaxLsb);
  if (pictureOrder.type === 1 && !pictureOrder.deltaAlwaysZero) orderDeltas.push(reader.signedGolomb());
  if (bottomOrderPresent && (pictureOrder.type === 0 || orderDeltas.length > 0))
    orderDeltas.push(reader.signedGolomb());
  return { orderLsb, orderDeltas };
}

function skipListModification(reader: BitReader): void {
  if (!reader.bit()) return;
  for (let left = MAX_LIST_ENTRIES; reader.unsignedGolomb() !== 3; left--) {
    if (left === 0) throw new RangeError('reference list modification is too long');
    reader.unsignedGolomb();
  }
}

function skipWeights(reader: BitReader, refs: number, chroma: boolean): void {
  reader.unsignedGolomb(); // luma_log2_weight_denom
  if (chroma) reader.unsignedGolomb();
  for (let i = 0; i < refs; i++) {
    if (reader.bit()) skipSigned(reader, 2);
    if (chroma && reader.bit()) skipSigned(reader, 4);
  }
}

function skipSigned(reader: BitReader, count: number): void {
  for (let i = 0; i < count; i++) reader.signedGolomb();
}

/** Memory management control operations (7.4.3.3): operands of each, and those that concern the current frame. */
const OPERANDS = [0, 1, 1, 2, 1, 0, 1];
const FORGET_ALL = 5;
const CURRENT_IS_LONG_TERM = 6;

function readMarking(reader: BitReader, idr: boolean): boolean {
  if (idr) {
    reader.skip(1); // no_output_of_prior_pics_flag
    return reader.bit() === 1; // long_term_reference_flag
  }
  if (!reader.bit()) return false;
  let special = false;
  for (let left = MAX_LIST_ENTRIES; left > 0; left--) {
    const operation = reader.unsignedGolomb();
    if (operation === 0) return special;
    const operands = OPERANDS[operation];
    if (operands === undefined) throw new RangeError('invalid reference marking');
    if (operation === FORGET_ALL || operation === CURRENT_IS_LONG_TERM) special = true;
    for (let i = 0; i < operands; i++) reader.unsignedGolomb();
  }
  throw new RangeError('reference marking is too long');
}

/** The quantizer that a skipped frame names. Nothing is quantized with it, and it is valid with every bit depth. */
export const SKIPPED_QP = 26;

/**
 * Writes the header of the only slice of a P-frame. It is a reference frame, and its first reference is the reference
 * frame before it. Weights and the loop filter change nothing.
 */
export function writeSkippedSliceHeader(
  writer: BitWriter,
  slice: Pick<SliceHeader, 'frameNum' | 'orderLsb' | 'orderDeltas'>,
  sps: SpsSyntax,
  pps: PpsSyntax,
): void {
  writer.unsignedGolomb(0).unsignedGolomb(P_SLICES_ONLY).unsignedGolomb(pps.id);
  writer.bits(sps.log2MaxFrameNum, slice.frameNum);
  if (sps.pictureOrder.type === 0) writer.bits(sps.pictureOrder.log2MaxLsb, slice.orderLsb);
  for (const delta of slice.orderDeltas) writer.signedGolomb(delta);
  if (pps.redundantPictures) writer.unsignedGolomb(0);
  writer.bits(1, 1).unsignedGolomb(0); // num_ref_idx_active_override_flag: one reference
  writer.bits(1, 0); // ref_pic_list_modification_flag_l0
  if (pps.weightedPrediction) {
    const chroma = sps.chromaFormat !== 0;
    writer.unsignedGolomb(0); // luma_log2_weight_denom
    if (chroma) writer.unsignedGolomb(0);
    writer.bits(chroma ? 2 : 1, 0); // no weights
  }
  writer.bits(1, 0); // adaptive_ref_pic_marking_mode_flag
  if (pps.cabac) writer.unsignedGolomb(0); // cabac_init_idc
  writer.signedGolomb(SKIPPED_QP - pps.initialQp);
  if (pps.deblockingControlPresent) writer.unsignedGolomb(1); // disable_deblocking_filter_idc
}
