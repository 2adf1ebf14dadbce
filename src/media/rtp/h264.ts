import { BitReader } from '../bits.ts';
import { Depacketizer, type Frame, type FrameContent } from './depacketizer.ts';

/** Consecutive pieces, each from a packet of its own. The first one is not empty. */
export type NalUnit = readonly Buffer[];

/** One coded frame with its SEI messages (ITU-T H.264, 7.4.1.2). */
export interface AccessUnit extends Frame {
  /**
   * Slices and SEI messages in decoding order, without start codes. Parameter sets, delimiters and filler data are
   * removed.
   */
  readonly nalUnits: readonly NalUnit[];
  /** Contains a B slice: it is shown before a frame that precedes it in decoding order. */
  readonly bFrame: boolean;
}

export interface ParameterSets {
  readonly sps: Buffer;
  /** Ordered by id. */
  readonly pps: readonly Buffer[];
}

const NAL_SLICE = 1;
const NAL_IDR_SLICE = 5;
const NAL_SEI = 6;
const NAL_SPS = 7;
const NAL_PPS = 8;
const STAP_A = 24;
const FU_A = 28;
const FU_START = 0x80;
const FU_END = 0x40;

/**
 * The first bytes of NAL units that arrive in fragments, which describe it but do not contain it. Shared: never written
 * to.
 */
const NAL_HEADERS = Array.from({ length: 256 }, (_, header) => Buffer.from([header]));

/** More slices than any level allows at 4K; bounds the work on malicious STAP-A packets. */
const MAX_NAL_UNITS = 4096;
/** `numOfPictureParameterSets` in the decoder configuration has eight bits. */
const MAX_PPS = 255;
/**
 * Longer than those of real encoders. Parameter sets are stored, and written at each key frame; the decoder
 * configuration has 16 bits for a length.
 */
const MAX_PARAMETER_SET_BYTES = 1024;

/** H.264 from RTP, packetization modes 0 and 1 (RFC 6184): single NAL units, STAP-A and FU-A. */
export class H264Depacketizer extends Depacketizer<AccessUnit> {
  #sps: Buffer | undefined;
  readonly #pps = new Map<number, Buffer>();
  #nalUnits: NalUnit[] = [];
  /** The pieces of an incomplete NAL unit. */
  #fragments: Buffer[] = [];
  #sliceSeen = false;
  #keyFrame = false;
  #bFrame = false;
  #lossBefore = false;
  #spsInUnit = false;
  /** Key frames of this source contain parameter sets, so one without them has lost its beginning. */
  #keyFramesBringSps = false;

  /** Whether both kinds of parameter sets are known. */
  get hasParameterSets(): boolean {
    return this.#sps !== undefined && this.#pps.size > 0;
  }

  /** The current parameter sets, once both kinds are known. */
  get parameterSets(): ParameterSets | undefined {
    return this.#sps && this.#pps.size > 0
      ? { sps: this.#sps, pps: [...this.#pps].sort(([a], [b]) => a - b).map(([, pps]) => pps) }
      : undefined;
  }

  protected override add(payload: Buffer, first: boolean, lossBefore: boolean): boolean {
    if (first) this.#lossBefore = lossBefore;
    switch (payload[0]! & 0x1f) {
      case FU_A:
        return this.#addFragment(payload);
      case STAP_A:
        return this.#fragments.length === 0 && this.#addAggregate(payload);
      default:
        return this.#fragments.length === 0 && this.#addNalUnit([payload]);
    }
  }

  protected override complete(): FrameContent<AccessUnit> | undefined | false {
    if (this.#fragments.length > 0) return false;
    if (!this.#sliceSeen) return undefined;
    if (this.#keyFrame) {
      if (this.#lossBefore && this.#keyFramesBringSps && !this.#spsInUnit) return false;
      this.#keyFramesBringSps = this.#spsInUnit;
    }
    return { keyFrame: this.#keyFrame, bFrame: this.#bFrame, nalUnits: this.#nalUnits };
  }

  protected override clear(): void {
    this.#nalUnits = [];
    this.#fragments = [];
    // Parameter sets may arrive before the frame in packets of their own, with a marker. They count for the next frame.
    if (this.#sliceSeen) this.#spsInUnit = false;
    this.#sliceSeen = false;
    this.#keyFrame = false;
    this.#bFrame = false;
  }

  #addFragment(payload: Buffer): boolean {
    if (payload.length < 2) return false;
    const header = payload[1]!;
    const start = (header & FU_START) !== 0;
    if (start !== (this.#fragments.length === 0)) return false;
    if (start) this.#fragments.push(NAL_HEADERS[(payload[0]! & 0xe0) | (header & 0x1f)]!);
    this.#fragments.push(payload.subarray(2));
    if (!(header & FU_END)) return true;
    const nalUnit = this.#fragments;
    this.#fragments = [];
    return this.#addNalUnit(nalUnit);
  }

  #addAggregate(payload: Buffer): boolean {
    let offset = 1;
    while (offset + 2 <= payload.length) {
      const size = payload.readUInt16BE(offset);
      offset += 2;
      if (size === 0 || offset + size > payload.length) return false;
      if (!this.#addNalUnit([payload.subarray(offset, offset + size)])) return false;
      offset += size;
    }
    return offset === payload.length && offset > 1;
  }

  #addNalUnit(nalUnit: NalUnit): boolean {
    const header = nalUnit[0]![0]!;
    const type = header & 0x1f;
    // The forbidden bit marks a unit that was damaged on the way. Types from 24 on exist in RTP only and are not
    // nested.
    if (header & 0x80 || type === 0 || type >= STAP_A) return false;
    switch (type) {
      case NAL_SPS:
        return this.#addSps(whole(nalUnit));
      case NAL_PPS:
        return this.#addPps(whole(nalUnit));
      case NAL_SLICE:
      case NAL_IDR_SLICE:
        // If the first slice does not start at the first macroblock (first_mb_in_slice is 0: a single 1 bit), earlier
        // slices are lost.
        if (!this.#sliceSeen && this.#lossBefore && !((secondByte(nalUnit) ?? 0) & 0x80)) return false;
        this.#sliceSeen = true;
        if (type === NAL_IDR_SLICE) this.#keyFrame = true;
        else if (beginsBFrame(secondByte(nalUnit) ?? 0)) this.#bFrame = true;
        break;
      case NAL_SEI:
        break;
      default:
        // Delimiters and filler data are useless in FLV. Data partitions, layers and auxiliary frames do not belong to
        // the offered profiles.
        return true;
    }
    this.#nalUnits.push(nalUnit);
    return this.#nalUnits.length <= MAX_NAL_UNITS;
  }

  #addSps(nalUnit: Buffer): boolean {
    if (nalUnit.length < 4 || nalUnit.length > MAX_PARAMETER_SET_BYTES) return false;
    this.#spsInUnit = true;
    if (this.#sps?.equals(nalUnit)) return true;
    // Picture parameter sets depend on their sequence parameter set; the old ones do not apply to a new one.
    if (this.#sps) this.#pps.clear();
    // A copy, because a view keeps the whole datagram alive.
    this.#sps = Buffer.from(nalUnit);
    return true;
  }

  #addPps(nalUnit: Buffer): boolean {
    let id: number;
    try {
      id = new BitReader(nalUnit.subarray(1, 6)).unsignedGolomb();
    } catch {
      return false;
    }
    if (id > 255 || nalUnit.length > MAX_PARAMETER_SET_BYTES || (this.#pps.size >= MAX_PPS && !this.#pps.has(id)))
      return false;
    if (!this.#pps.get(id)?.equals(nalUnit)) this.#pps.set(id, Buffer.from(nalUnit));
    return true;
  }
}

function whole(nalUnit: NalUnit): Buffer {
  return nalUnit.length === 1 ? nalUnit[0]! : Buffer.concat(nalUnit);
}

/**
 * Reads the beginning of a slice header (H.264, 7.3.3): first_mb_in_slice is 0, code 1, and slice_type is 1 or 6, codes
 * 010 and 00111.
 */
export const beginsBFrame = (byte: number): boolean => (byte & 0xf0) === 0xa0 || (byte & 0xfc) === 0x9c;

function secondByte(nalUnit: NalUnit): number | undefined {
  let at = 1;
  for (const piece of nalUnit) {
    if (at < piece.length) return piece[at];
    at -= piece.length;
  }
  return undefined;
}
