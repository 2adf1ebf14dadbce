import type { ParameterSetStore } from './avc-parameter-sets.ts';
import type { SlicePlace } from './avc-slice-header.ts';

/** Usual distance between two frames: each has two fields. */
const ORDER_PER_FRAME = 2;

/**
 * Where frames are in the order of presentation, as their slices say (ITU-T H.264, 8.2.1). Numbers go on at IDR frames,
 * so that they can be compared.
 */
export class PictureOrder {
  /** The order count 0 of the present group. */
  #base = 0;
  /** The largest number so far. */
  #largest: number | undefined;
  /** The order count of the last frame that others refer to. */
  #reference = 0;

  /**
   * The number of the next frame in decoding order, in frames; with fractions where encoders count otherwise.
   * `undefined`: the slice does not say.
   */
  next({ idr, refIdc, coded, ppsId }: SlicePlace, sets: ParameterSetStore): number | undefined {
    const order = sets.syntaxOf(ppsId)?.sps.pictureOrder;
    const log2MaxLsb = order?.type === 0 ? order.log2MaxLsb : undefined;
    if (!idr && (log2MaxLsb === undefined || !coded)) return undefined;
    if (idr) {
      this.#base = this.#largest === undefined ? 0 : this.#largest + 1;
      this.#reference = coded?.orderLsb ?? 0;
    }
    const count = idr ? this.#reference : this.#countOf(coded!.orderLsb, 2 ** log2MaxLsb!);
    if (refIdc > 0) this.#reference = count;
    const number = this.#base + count / ORDER_PER_FRAME;
    this.#largest = Math.max(this.#largest ?? number, number);
    return number;
  }

  /** The count with these lowest bits that is next to that of the last reference frame. */
  #countOf(lsb: number, maxLsb: number): number {
    const reference = this.#reference;
    const distance = (((lsb - reference) % maxLsb) + maxLsb) % maxLsb;
    return reference + (distance > maxLsb / 2 ? distance - maxLsb : distance);
  }
}
