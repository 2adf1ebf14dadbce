import { PictureOrder } from '../codecs/avc-picture-order.ts';
import { DecodeTimes } from './decode-times.ts';
import type { ParameterSetStore } from '../codecs/avc-parameter-sets.ts';
import type { SpsSyntax } from '../codecs/avc.ts';
import { MAX_PLACE_BYTES, readSlicePlace } from '../codecs/avc-slice-header.ts';
import { aggregatedUnits, beginning, FU_A, firstUnit, STAP_A, type NalUnit } from './h264-payload.ts';
import type { RtpPacket } from './rtp-packet.ts';

/** More than encoders put between two frames. */
const MAX_FRAMES_LATE = 32;
const NAL_SLICE = 1;
const NAL_IDR_SLICE = 5;
const NAL_SEI = 6;
const NAL_DELIMITER = 9;

/** What is said of its frame by a packet that has just arrived, before packets are in order. */
export interface FrameHint {
  /** See {@link PictureOrder}. `undefined`: not known. */
  readonly order: number | undefined;
  /** How many frames later than others it is sent, because it waits for frames that precede it in decoding order. */
  readonly framesLate?: number;
}

const UNKNOWN: FrameHint = { order: undefined };

/** Reads where frames are in the order of presentation from packets in the order of arrival. */
export class H264Order {
  readonly #sets: ParameterSetStore;
  readonly #order = new PictureOrder();
  #sps: SpsSyntax | undefined;
  #decode = new DecodeTimes();
  #largest: number | undefined;
  /** How many B-frames the last frame that is none may be followed by, and has been followed by. */
  #expected = 0;
  #bFrames = 0;
  /** How many there usually are. */
  #usual = 0;
  #last: { readonly timestamp: number; readonly hint: FrameHint } | undefined;

  /** @param sets what is known of the publisher's parameter sets */
  constructor(sets: ParameterSetStore) {
    this.#sets = sets;
  }

  /** `undefined`: the packet only has what precedes the slices of a frame, which say more. */
  read({ timestamp, payload }: RtpPacket): FrameHint | undefined {
    if (timestamp === this.#last?.timestamp) return this.#last.hint;
    const unit = beginningOf(payload);
    if (!unit) return UNKNOWN;
    const type = unit[0]![0]! & 0x1f;
    if (type >= NAL_SEI && type <= NAL_DELIMITER) return undefined;
    if (type !== NAL_SLICE && type !== NAL_IDR_SLICE) return UNKNOWN;
    const hint = this.#hintOf(unit);
    this.#last = { timestamp, hint };
    return hint;
  }

  #hintOf(slice: NalUnit): FrameHint {
    try {
      const place = readSlicePlace(beginning(slice, MAX_PLACE_BYTES), this.#sets.syntaxOf);
      const sps = this.#sets.syntaxOf(place.ppsId)?.sps;
      if (sps !== this.#sps) this.#forget(sps);
      const order = this.#order.next(place, this.#sets);
      return order === undefined ? UNKNOWN : { order, framesLate: this.#framesLate(order) };
    } catch {
      return UNKNOWN;
    }
  }

  /** A frame that is followed by most B-frames is sent as soon as it is captured. */
  #framesLate(order: number): number {
    const ahead = order - this.#decode.next(order, order, { depth: 0, frameMs: 1 });
    if (this.#largest !== undefined && order < this.#largest) this.#bFrames++;
    else {
      // Frames that are lost look like B-frames that are still to come.
      if (this.#bFrames > 0) this.#usual = Math.max(this.#bFrames, this.#usual - 1);
      this.#expected = this.#largest === undefined ? 0 : order - this.#largest - 1;
      this.#bFrames = 0;
      this.#largest = order;
    }
    const most = this.#bFrames > 0 ? Math.max(this.#usual, this.#expected) : this.#usual;
    return most > 0 ? Math.min(Math.max(0, most + this.#decode.depth - ahead), MAX_FRAMES_LATE) : 0;
  }

  /** Other parameters: the encoder may have been started again, with other delays. */
  #forget(sps: SpsSyntax | undefined): void {
    this.#sps = sps;
    this.#decode = new DecodeTimes();
    this.#expected = 0;
    this.#bFrames = 0;
    this.#usual = 0;
  }
}

/** The first slice in a packet, or else its first NAL unit. */
function beginningOf(payload: Buffer): NalUnit | undefined {
  const type = payload[0]! & 0x1f;
  if (type === FU_A || type !== STAP_A) return firstUnit(payload);
  const units = aggregatedUnits(payload);
  const slice = units?.find((unit) => [NAL_SLICE, NAL_IDR_SLICE].includes(unit[0]! & 0x1f)) ?? units?.[0];
  return slice && [slice];
}
