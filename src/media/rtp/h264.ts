import { PictureOrder } from '../codecs/avc-picture-order.ts';
import { ParameterSetStore, type ParameterSets } from '../codecs/avc-parameter-sets.ts';
import { readRecoveryPoint } from '../codecs/avc-sei.ts';
import { beginsFrame, MAX_PLACE_BYTES, readSlicePlace, type SlicePlace } from '../codecs/avc-slice-header.ts';
import { Depacketizer, type DepacketizerOptions, type Frame, type FrameContent, type Place } from './depacketizer.ts';
import {
  aggregatedUnits,
  beginning,
  firstUnit,
  FU_A,
  FU_END,
  FU_START,
  headerOfFragments,
  STAP_A,
  unsupportedStructure,
  whole,
  type NalUnit,
} from './h264-payload.ts';

export type { ParameterSets } from '../codecs/avc-parameter-sets.ts';
export type { NalUnit } from './h264-payload.ts';

/** One coded frame with its SEI messages (ITU-T H.264, 7.4.1.2). */
export interface AccessUnit extends Frame {
  /**
   * Slices and SEI messages in decoding order, without start codes. Parameter sets that have changed precede them,
   * except before a key frame, whose sequence header contains them. Delimiters and filler data are removed.
   */
  readonly nalUnits: readonly NalUnit[];
  /** Contains a B slice: it is shown before a frame that precedes it in decoding order. */
  readonly bFrame: boolean;
  /** See {@link PictureOrder}. */
  readonly order: number | undefined;
  /** Set for key frames: those of this frame, and of the ones after it. */
  readonly parameterSets?: ParameterSets;
  /** Set for key frames: whether a sequence parameter set came with it. */
  readonly bringsSps?: boolean;
}

const NAL_SLICE = 1;
const NAL_PARTITION_A = 2;
const NAL_PARTITION_C = 4;
const NAL_IDR_SLICE = 5;
const NAL_SEI = 6;
const NAL_SPS = 7;
const NAL_PPS = 8;
const NAL_DELIMITER = 9;
const NAL_PREFIX = 14;
const NAL_LAST_BEGINNING = 18;

/** More slices than any level allows at 4K; bounds the work on malicious STAP-A packets. */
const MAX_NAL_UNITS = 4096;
/** SEI messages that may precede their frame in packets with a marker of their own. */
const MAX_EARLY_UNITS = 16;
/** Parameter sets that have changed between two frames: all that can exist. */
const MAX_CHANGED_SETS = 288;
/** Recovery points come before what applications add. */
const MAX_SEI_BYTES = 1024;
const NO_UNITS: readonly NalUnit[] = [];

/** H.264 from RTP, packetization modes 0 and 1 (RFC 6184): single NAL units, STAP-A and FU-A. */
export class H264Depacketizer extends Depacketizer<AccessUnit> {
  readonly #sets: ParameterSetStore;
  readonly #order = new PictureOrder();
  /** Parameter sets that have changed since the last frame. */
  #changedSets: NalUnit[] = [];
  #nalUnits: NalUnit[] = [];
  /** The pieces of an incomplete NAL unit. */
  #fragments: Buffer[] = [];
  /** The first slice of the frame, also after its end; of the frame before until {@link #hasSlice}. */
  #slice: SlicePlace | undefined;
  #hasSlice = false;
  /** One of its slices has the first macroblock. */
  #hasStart = false;
  /** Slices have been added since the last frame. */
  #sliceSeen = false;
  #intraOnly = true;
  #idr = false;
  #recoveryPoint = false;
  #bFrame = false;
  #lossBefore = false;
  #spsInUnit = false;
  /** Key frames of this source contain parameter sets, so one without them has lost its beginning. */
  #keyFramesBringSps = false;
  #unusable: string | undefined;

  /** @param sets what is known of the publisher's parameter sets already; it gets those that arrive */
  constructor(sets = new ParameterSetStore(), options?: DepacketizerOptions) {
    super(options);
    this.#sets = sets;
  }

  /** Whether both kinds of parameter sets are known. */
  get hasParameterSets(): boolean {
    return this.#sets.isUsable;
  }

  /** Those of the last frame, once both kinds are known. */
  get parameterSets(): ParameterSets | undefined {
    return this.#sets.of(this.#slice?.ppsId);
  }

  /** What has arrived since the last frame and cannot be used, for people. */
  get unusable(): string | undefined {
    return this.#unusable;
  }

  protected override placeOf(payload: Buffer): Place {
    const nalUnit = this.#fragments.length > 0 ? undefined : firstUnit(payload);
    if (!nalUnit) return 'continues';
    const type = nalUnit[0]![0]! & 0x1f;
    if (type === NAL_SLICE || type === NAL_IDR_SLICE) return this.#placeOfSlice(nalUnit);
    // What can only precede the slices of a frame (7.4.1.2.3). If slices are missing, a frame surely begins with two.
    const precedes = (type >= NAL_SEI && type <= NAL_DELIMITER) || (type >= NAL_PREFIX && type <= NAL_LAST_BEGINNING);
    if (this.#hasSlice && precedes) return 'begins';
    return this.isDamaged && (type === NAL_SPS || type === NAL_DELIMITER) ? 'begins' : 'either';
  }

  #placeOfSlice(nalUnit: NalUnit): Place {
    const slice = this.#readSlice(nalUnit);
    if (!slice) return 'either';
    // In any order of slices, frames with one timestamp are told apart by those that begin at the first macroblock.
    const isStart = slice.firstMacroblock === 0 && !slice.coded?.redundant;
    if (!this.#hasSlice || !this.#slice) {
      if (!this.isDamaged) return 'continues';
      return isStart ? 'begins' : 'either';
    }
    if (!isStart) return 'continues';
    const repeatsStart = this.#hasStart && slice.coded?.field === this.#slice.coded?.field;
    return repeatsStart || beginsFrame(slice, this.#slice) ? 'begins' : 'continues';
  }

  protected override add(payload: Buffer, first: boolean, lossBefore: boolean): boolean {
    if (first) {
      this.#lossBefore = lossBefore;
      this.#hasSlice = false;
      this.#hasStart = false;
    }
    const structure = unsupportedStructure(payload);
    if (structure) {
      this.#unusable = `the packets have the structure ${structure}`;
      return false;
    }
    switch (payload[0]! & 0x1f) {
      case FU_A:
        return this.#addFragment(payload);
      case STAP_A:
        return this.#fragments.length === 0 && this.#addAll(aggregatedUnits(payload));
      default:
        return this.#fragments.length === 0 && this.#addNalUnit([payload]);
    }
  }

  protected override get isOpen(): boolean {
    return this.#fragments.length > 0;
  }

  protected override get endIsKnown(): boolean {
    return !this.#sliceSeen;
  }

  protected override complete(): FrameContent<AccessUnit> | undefined | false {
    if (this.#fragments.length > 0) return false;
    if (!this.#sliceSeen) return undefined;
    // A decoder starts at a recovery point as well, and at a frame that is not predicted and has parameter sets.
    const keyFrame = this.#idr || this.#recoveryPoint || (this.#intraOnly && this.#spsInUnit);
    if (keyFrame) {
      if (this.#lossBefore && this.#keyFramesBringSps && !this.#spsInUnit) return false;
      this.#keyFramesBringSps = this.#spsInUnit;
    }
    const changed = keyFrame ? NO_UNITS : this.#changedSets;
    this.#changedSets = [];
    this.#unusable = undefined;
    const parameterSets = keyFrame ? this.parameterSets : undefined;
    const bringsSps = this.#spsInUnit;
    return {
      keyFrame,
      bFrame: this.#bFrame,
      order: this.#hasSlice && this.#slice ? this.#order.next(this.#slice, this.#sets) : undefined,
      nalUnits: changed.length > 0 ? [...changed, ...this.#nalUnits] : this.#nalUnits,
      ...(keyFrame && { bringsSps }),
      ...(parameterSets && { parameterSets }),
    };
  }

  protected override clear(incomplete: boolean): void {
    // Parameter sets and messages may arrive before the frame in packets of their own, with a marker. They count for the
    // next frame.
    const isEarly = !this.#sliceSeen && !incomplete && this.#nalUnits.length <= MAX_EARLY_UNITS;
    if (!isEarly) {
      this.#nalUnits = [];
      this.#recoveryPoint = false;
    }
    if (this.#sliceSeen) this.#spsInUnit = false;
    this.#fragments = [];
    this.#sliceSeen = false;
    this.#intraOnly = true;
    this.#idr = false;
    this.#bFrame = false;
  }

  #addFragment(payload: Buffer): boolean {
    if (payload.length < 2) return false;
    const header = payload[1]!;
    const start = (header & FU_START) !== 0;
    if (start !== (this.#fragments.length === 0)) return false;
    if (start) this.#fragments.push(headerOfFragments(payload));
    this.#fragments.push(payload.subarray(2));
    if (!(header & FU_END)) return true;
    const nalUnit = this.#fragments;
    this.#fragments = [];
    return this.#addNalUnit(nalUnit);
  }

  #addAll(units: readonly Buffer[] | undefined): boolean {
    return units !== undefined && units.every((unit) => this.#addNalUnit([unit]));
  }

  #addNalUnit(nalUnit: NalUnit): boolean {
    const header = nalUnit[0]![0]!;
    const type = header & 0x1f;
    // The forbidden bit marks a unit that was damaged on the way. Types from 24 on exist in RTP only and are not
    // nested.
    if (header & 0x80 || type === 0 || type >= STAP_A) return false;
    switch (type) {
      case NAL_SPS:
      case NAL_PPS:
        return this.#addParameterSet(whole(nalUnit), type);
      case NAL_SLICE:
      case NAL_IDR_SLICE:
        if (!this.#addSlice(nalUnit, type)) return false;
        break;
      case NAL_SEI:
        if (readRecoveryPoint(beginning(nalUnit, MAX_SEI_BYTES))) this.#recoveryPoint = true;
        break;
      default:
        // Delimiters and filler data are useless in FLV. Data partitions, layers and auxiliary frames do not belong to
        // the offered profiles.
        if (type >= NAL_PARTITION_A && type <= NAL_PARTITION_C) this.#unusable = 'the frames are data partitions';
        return true;
    }
    this.#nalUnits.push(nalUnit);
    return this.#nalUnits.length <= MAX_NAL_UNITS;
  }

  #addSlice(nalUnit: NalUnit, type: number): boolean {
    const slice = this.#readSlice(nalUnit);
    const isFirst = !this.#sliceSeen;
    this.#sliceSeen = true;
    if (slice && !this.#hasSlice) {
      this.#slice = slice;
      this.#hasSlice = true;
    }
    if (slice?.firstMacroblock === 0) this.#hasStart = true;
    // If the first slice does not start at the first macroblock, earlier slices are lost.
    if (isFirst && this.#lossBefore && slice?.firstMacroblock !== 0) return false;
    if (type === NAL_IDR_SLICE) this.#idr = true;
    else if (slice?.bidirectional) this.#bFrame = true;
    if (!slice?.intra) this.#intraOnly = false;
    return true;
  }

  #readSlice(nalUnit: NalUnit): SlicePlace | undefined {
    try {
      return readSlicePlace(beginning(nalUnit, MAX_PLACE_BYTES), this.#sets.syntaxOf);
    } catch {
      return undefined;
    }
  }

  #addParameterSet(nalUnit: Buffer, type: number): boolean {
    const isNew = this.#sets.take(nalUnit);
    if (isNew === undefined) {
      this.#unusable = `its ${type === NAL_SPS ? 'sequence' : 'picture'} parameter sets are not valid`;
      return false;
    }
    if (type === NAL_SPS) this.#spsInUnit = true;
    if (isNew && this.#changedSets.length < MAX_CHANGED_SETS) this.#changedSets.push([Buffer.from(nalUnit)]);
    return true;
  }
}

/**
 * Reads the beginning of a slice header (H.264, 7.3.3): first_mb_in_slice is 0, code 1, and slice_type is 1 or 6, codes
 * 010 and 00111.
 */
export const beginsBFrame = (byte: number): boolean => (byte & 0xf0) === 0xa0 || (byte & 0xfc) === 0x9c;
