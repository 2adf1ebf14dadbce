import { BitWriter } from '../bits.ts';
import { SKIPPED_QP } from './avc-slice-header.ts';

/**
 * Arithmetic coding of H.264 (ITU-T H.264, 9.3.4), as far as skipped macroblocks need it: their flag is always the more
 * probable symbol.
 */

/** Widths of the less probable symbol's interval by state and by the two bits after the first of the range (table 9-44). */
// prettier-ignore
const RANGE_LPS = [
  [128, 176, 208, 240], [128, 167, 197, 227], [128, 158, 187, 216], [123, 150, 178, 205],
  [116, 142, 169, 195], [111, 135, 160, 185], [105, 128, 152, 175], [100, 122, 144, 166],
  [95, 116, 137, 158], [90, 110, 130, 150], [85, 104, 123, 142], [81, 99, 117, 135],
  [77, 94, 111, 128], [73, 89, 105, 122], [69, 85, 100, 116], [66, 80, 95, 110],
  [62, 76, 90, 104], [59, 72, 86, 99], [56, 69, 81, 94], [53, 65, 77, 89],
  [51, 62, 73, 85], [48, 59, 69, 80], [46, 56, 66, 76], [43, 53, 63, 72],
  [41, 50, 59, 69], [39, 48, 56, 65], [37, 45, 54, 62], [35, 43, 51, 59],
  [33, 41, 48, 56], [32, 39, 46, 53], [30, 37, 43, 50], [29, 35, 41, 48],
  [27, 33, 39, 45], [26, 31, 37, 43], [24, 30, 35, 41], [23, 28, 33, 39],
  [22, 27, 32, 37], [21, 26, 30, 35], [20, 24, 29, 33], [19, 23, 27, 31],
  [18, 22, 26, 30], [17, 21, 25, 28], [16, 20, 23, 27], [15, 19, 22, 25],
  [14, 18, 21, 24], [14, 17, 20, 23], [13, 16, 19, 22], [12, 15, 18, 21],
  [12, 14, 17, 20], [11, 14, 16, 19], [11, 13, 15, 18], [10, 12, 15, 17],
  [10, 12, 14, 16], [9, 11, 13, 15], [9, 11, 12, 14], [8, 10, 12, 14],
  [8, 9, 11, 13], [7, 9, 11, 12], [7, 9, 10, 12], [7, 8, 10, 11],
  [6, 8, 9, 11], [6, 7, 9, 10], [6, 7, 8, 9], [2, 2, 2, 2],
] as const;
/** The last state that adapts; 63 is for the end of a slice. */
const MOST_CERTAIN_STATE = 62;

/** Initial state of mb_skip_flag in a P slice without skipped neighbours that are not: context 11, cabac_init_idc 0 (table 9-13). */
const SKIP_FLAG = ((23 * SKIPPED_QP) >> 4) + 33;
/** From 64 on, 1 is the more probable value, and the state is the distance from there (9.3.1.1). */
const SKIP_FLAG_STATE = SKIP_FLAG - 64;

/** The slice data of a frame whose macroblocks are all skipped, after the alignment and up to the stop bit. */
export function skippedMacroblocks(macroblocks: number): Buffer {
  const encoder = new Encoder();
  for (let left = macroblocks; left > 0; left--) {
    encoder.moreProbable();
    encoder.endOfSlice(left === 1);
  }
  return encoder.toBuffer();
}

class Encoder {
  readonly #writer = new BitWriter();
  #low = 0;
  #range = 510;
  #state = SKIP_FLAG_STATE;
  /** Bits that are the opposite of the next one that is known. */
  #outstanding = 0;
  #first = true;

  moreProbable(): void {
    this.#range -= RANGE_LPS[this.#state]![(this.#range >> 6) & 3]!;
    if (this.#state < MOST_CERTAIN_STATE) this.#state++;
    this.#renormalize();
  }

  endOfSlice(end: boolean): void {
    this.#range -= 2;
    if (!end) return this.#renormalize();
    this.#low += this.#range;
    this.#range = 2;
    this.#renormalize();
    this.#put((this.#low >> 9) & 1);
    // The last of these bits is the stop bit of the NAL unit.
    this.#writer.bits(2, ((this.#low >> 7) & 3) | 1);
  }

  toBuffer(): Buffer {
    return this.#writer.toBuffer();
  }

  #renormalize(): void {
    while (this.#range < 256) {
      if (this.#low < 256) this.#put(0);
      else if (this.#low >= 512) {
        this.#low -= 512;
        this.#put(1);
      } else {
        this.#low -= 256;
        this.#outstanding++;
      }
      this.#range <<= 1;
      this.#low <<= 1;
    }
  }

  #put(bit: number): void {
    // The register has ten bits, and the first one to come out is no part of the code.
    if (this.#first) this.#first = false;
    else this.#writer.bits(1, bit);
    for (; this.#outstanding > 0; this.#outstanding--) this.#writer.bits(1, 1 - bit);
  }
}
