import { BitWriter } from '../bits.ts';
import { skippedMacroblocks } from './avc-cabac.ts';
import {
  addEmulationPrevention,
  NAL_IDR_SLICE,
  NAL_PPS,
  NAL_SLICE,
  NAL_SPS,
  nalType,
  nalUnitsOf,
  readSequenceHeader,
} from './avc-nal.ts';
import { parsePps, type PpsSyntax } from './avc-pps.ts';
import { readSliceHeader, readSliceStart, writeSkippedSliceHeader, type SliceHeader } from './avc-slice-header.ts';
import { parseSpsSyntax, type SpsSyntax } from './avc.ts';

/** Level 6.2 allows no larger frame (ITU-T H.264, table A-1). */
const MAX_MACROBLOCKS = 139_264;
/** What encoders of progressive video use between frames: one for each field. */
const ORDER_STEP = 2;
/** CAVLC 4:4:4 Intra. */
const INTRA_ONLY_PROFILE = 44;
/** High 10, High 4:2:2 and High 4:4:4 have variants without P slices, which this flag marks. */
const PROFILES_WITH_INTRA = new Set([110, 122, 244]);
const CONSTRAINT_SET_3 = 0x10;

/** Bits 5 and 6 of a NAL header: nal_ref_idc 2. */
const REFERENCE_SLICE = (2 << 5) | NAL_SLICE;

/**
 * Repeats the last reference frame of an H.264 stream: P-frames all of whose macroblocks are skipped. They are written
 * against the stream's own parameter sets, so nothing changes for the decoder. Each is a reference frame, and the next
 * one refers to it.
 */
class SkippedFrames {
  readonly #sps: SpsSyntax;
  readonly #pps: PpsSyntax;
  readonly #orderDeltas: readonly number[];
  #frameNum: number;
  #orderLsb: number;
  /** With CABAC, the slice data is aligned and the same for every frame. */
  readonly #cabac: Buffer | undefined;

  /** @param last the header of the last frame's first slice */
  constructor(sps: SpsSyntax, pps: PpsSyntax, last: SliceHeader) {
    this.#sps = sps;
    this.#pps = pps;
    this.#orderDeltas = last.orderDeltas;
    this.#orderLsb = last.orderLsb;
    // A frame that nothing refers to does not count: the next one has its number.
    this.#frameNum = last.refIdc === 0 ? last.frameNum - 1 : last.frameNum;
    this.#cabac = pps.cabac ? skippedMacroblocks(sps.macroblocks) : undefined;
  }

  /** The next frame, a NAL unit. */
  next(): Buffer {
    const { log2MaxFrameNum, pictureOrder, macroblocks } = this.#sps;
    this.#frameNum = (this.#frameNum + 1) % 2 ** log2MaxFrameNum;
    if (pictureOrder.type === 0) this.#orderLsb = (this.#orderLsb + ORDER_STEP) % 2 ** pictureOrder.log2MaxLsb;
    const writer = new BitWriter().bits(8, REFERENCE_SLICE);
    const slice = { frameNum: this.#frameNum, orderLsb: this.#orderLsb, orderDeltas: this.#orderDeltas };
    writeSkippedSliceHeader(writer, slice, this.#sps, this.#pps);
    if (this.#cabac) return nalUnit(Buffer.concat([writer.align(1).toBuffer(), this.#cabac]));
    return nalUnit(writer.unsignedGolomb(macroblocks).bits(1, 1).toBuffer()); // mb_skip_run and the stop bit
  }
}

const nalUnit = (bytes: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, 1), addEmulationPrevention(bytes.subarray(1))]);

/**
 * Repeats the last frame, or, if nothing refers to it, the last reference frame.
 *
 * @param header the body of the FLV tag of the sequence header
 * @param last the body of the FLV tag of the last frame that the decoder received
 * @returns `undefined` if frames cannot be repeated safely: B-frames, fields, slice groups, a last frame that is a
 * long-term reference, or a damaged frame
 */
export function skippedFramesAfter(header: Buffer, last: Buffer): SkippedFrames | undefined {
  try {
    return open(header, last);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function open(header: Buffer, last: Buffer): SkippedFrames | undefined {
  const configuration = readSequenceHeader(header);
  const nalUnits = nalUnitsOf(last);
  const slices = nalUnits.filter((unit) => nalType(unit) === NAL_SLICE || nalType(unit) === NAL_IDR_SLICE);
  // With a composition time, frames are shown in another order than they are decoded.
  if (configuration.lengthBytes !== 4 || slices.length === 0 || last.readIntBE(2, 3) !== 0) return undefined;
  const starts = slices.map(readSliceStart);
  if (!starts.every(({ forward }) => forward)) return undefined;
  const inBand = (type: number): Buffer[] => nalUnits.filter((unit) => nalType(unit) === type);
  // Parameter sets within the stream replace those of the header with the same id.
  const pps = [...configuration.pps, ...inBand(NAL_PPS)].map(parsePps).findLast((set) => set?.id === starts[0]!.ppsId);
  const sps = [...configuration.sps, ...inBand(NAL_SPS)].map(parseSpsSyntax).findLast((set) => set?.id === pps?.spsId);
  if (!sps || !pps || pps.sliceGroups > 1 || !isRepeatable(sps)) return undefined;
  const slice = readSliceHeader(slices[0]!, sps, pps);
  if (slice.specialReference || !keepsOrder(sps, slice)) return undefined;
  return new SkippedFrames(sps, pps, slice);
}

function isRepeatable({
  profile,
  compatibility,
  maxRefFrames,
  framesOnly,
  separatePlanes,
  macroblocks,
}: SpsSyntax): boolean {
  const intraOnly =
    profile === INTRA_ONLY_PROFILE || (PROFILES_WITH_INTRA.has(profile) && (compatibility & CONSTRAINT_SET_3) !== 0);
  return !intraOnly && maxRefFrames > 0 && framesOnly && !separatePlanes && macroblocks <= MAX_MACROBLOCKS;
}

/** Whether a reference frame with the next number is shown after the last frame. */
function keepsOrder({ pictureOrder }: SpsSyntax, last: SliceHeader): boolean {
  if (pictureOrder.type !== 1) return true;
  const { offsetsForRefFrames } = pictureOrder;
  return last.refIdc !== 0 && offsetsForRefFrames.length > 0 && offsetsForRefFrames.every((offset) => offset > 0);
}
