import { BitWriter } from '../../src/media/bits.ts';
import { addEmulationPrevention, removeEmulationPrevention } from '../../src/media/codecs/avc-nal.ts';

/** How frames are coded. */
export interface Coding {
  /** B-frames between two others. */
  readonly bFrames: number;
  /** B-frames refer to others in the middle between their neighbours; `false`: to their neighbours only. */
  readonly pyramid?: boolean;
  /** Frames that are not B-frames between two key frames, with the first of the two. */
  readonly groupLength?: number;
  /** Key frames after the first one are recovery points, and B-frames that are shown before them follow them. */
  readonly openGop?: boolean;
  readonly slices?: number;
  /** Whether the parameter set says how many frames are reordered. */
  readonly saysReordering?: boolean;
  readonly framesPerSecond?: number;
  /** Whether frames begin with a delimiter. */
  readonly delimiters?: boolean;
  /** Bits of pic_order_cnt_lsb. */
  readonly orderBits?: number;
}

/** One coded frame, in the order of decoding. */
export interface SyntheticFrame {
  /** In the order of presentation, from 0. */
  readonly shown: number;
  /** How many places earlier it is decoded than shown, without the delay of the encoder. */
  readonly ahead: number;
  readonly kind: 'I' | 'P' | 'B';
  readonly keyFrame: boolean;
  readonly nalUnits: readonly Buffer[];
}

const MAIN = 77;
const FRAME_NUM_BITS = 8;
const COLUMNS = 20;
const ROWS = 12;
const SLICE_TYPES = { P: 5, B: 6, I: 7 } as const;
const RECOVERY_POINT = Buffer.of(0x06, 0x06, 0x01, 0x84, 0x80);
const DELIMITER = Buffer.of(0x09, 0xf0);
const PPS = Buffer.from('68ce3c80', 'hex');

/** The frames that are shown between two others, in the order of decoding; `true`: others refer to it. */
function between(from: number, to: number, pyramid: boolean): [number: number, isReference: boolean][] {
  const count = to - from - 1;
  if (count <= 0) return [];
  if (!pyramid) return Array.from({ length: count }, (_, index) => [from + 1 + index, false]);
  const middle = from + Math.ceil((to - from) / 2);
  return [[middle, count > 1], ...between(from, middle, true), ...between(middle, to, true)];
}

/** How many frames are shown later at most than one that is decoded after them. */
export function depthOf({ bFrames, pyramid = false }: Coding): number {
  if (bFrames === 0) return 0;
  return pyramid ? Math.ceil(Math.log2(bFrames + 1)) : 1;
}

/** Makes H.264 of the profile Main whose headers are valid, and whose macroblocks are not. */
export class H264Coder {
  readonly coding: Coding;
  readonly #queue: SyntheticFrame[] = [];
  #shown: number;
  #place: number;
  #groupBegan = 0;
  #others = 0;
  #idrs = 0;
  #frameNum = 0;

  /** @param shown the number of its first frame */
  constructor(coding: Coding, shown = 0) {
    this.coding = coding;
    this.#shown = shown - 1;
    this.#place = shown;
  }

  next(): SyntheticFrame {
    if (this.#queue.length === 0) this.#group();
    return this.#queue.shift()!;
  }

  get sps(): Buffer {
    const { orderBits = 8, saysReordering = true, framesPerSecond } = this.coding;
    const writer = new BitWriter().bits(8, MAIN).bits(8, 0).bits(8, 31).unsignedGolomb(0);
    writer
      .unsignedGolomb(FRAME_NUM_BITS - 4)
      .unsignedGolomb(0)
      .unsignedGolomb(orderBits - 4);
    writer.unsignedGolomb(Math.max(2, depthOf(this.coding))).bits(1, 0); // max_num_ref_frames
    writer.unsignedGolomb(COLUMNS - 1).unsignedGolomb(ROWS - 1);
    writer.bits(1, 1).bits(1, 1).bits(1, 0); // frames only, direct 8×8, no cropping
    writer.bits(1, 1).bits(4, 0); // VUI without shape, overscan, colours and chroma
    writer.bits(1, framesPerSecond ? 1 : 0);
    if (framesPerSecond)
      writer
        .bits(32, 1)
        .bits(32, 2 * framesPerSecond)
        .bits(1, 1);
    writer.bits(3, 0).bits(1, saysReordering ? 1 : 0);
    if (saysReordering) {
      writer.bits(1, 1).unsignedGolomb(0).unsignedGolomb(0).unsignedGolomb(10).unsignedGolomb(10);
      writer.unsignedGolomb(depthOf(this.coding)).unsignedGolomb(Math.max(2, depthOf(this.coding)));
    }
    return nalUnit(0x67, writer.bits(1, 1).toBuffer());
  }

  /** A frame that is no B-frame, and the B-frames that are shown before it. */
  #group(): void {
    const { bFrames, groupLength = 8, pyramid = false, openGop = false } = this.coding;
    const isKey = this.#others++ % groupLength === 0;
    if (isKey && (!openGop || this.#idrs === 0)) {
      this.#frameNum = 0;
      this.#shown++;
      this.#groupBegan = this.#shown;
      this.#frame('I', this.#shown, true, true);
      return;
    }
    const shown = this.#shown + bFrames + 1;
    this.#frame(isKey ? 'I' : 'P', shown, true, isKey);
    for (const [number, isReference] of between(this.#shown, shown, pyramid))
      this.#frame('B', number, isReference, false);
    this.#shown = shown;
  }

  #frame(kind: SyntheticFrame['kind'], shown: number, isReference: boolean, keyFrame: boolean): void {
    const { slices = 1, orderBits = 8, delimiters = false } = this.coding;
    const idr = keyFrame && shown === this.#groupBegan;
    const units: Buffer[] = delimiters ? [DELIMITER] : [];
    if (keyFrame) units.push(this.sps, PPS);
    if (keyFrame && !idr) units.push(RECOVERY_POINT);
    const order = (2 * (shown - this.#groupBegan)) % 2 ** orderBits;
    const header = ((isReference ? 3 : 0) << 5) | (idr ? 5 : 1);
    for (let slice = 0; slice < slices; slice++) {
      const writer = new BitWriter().unsignedGolomb(Math.floor((slice * COLUMNS * ROWS) / slices));
      writer.unsignedGolomb(SLICE_TYPES[kind]).unsignedGolomb(0).bits(FRAME_NUM_BITS, this.#frameNum);
      if (idr) writer.unsignedGolomb(this.#idrs & 1);
      writer.bits(orderBits, order).align(1).bits(32, 0xaaaaaaaa).bits(32, shown);
      units.push(nalUnit(header, writer.bits(8, 0x80).toBuffer()));
    }
    if (isReference) this.#frameNum = (this.#frameNum + 1) % 2 ** FRAME_NUM_BITS;
    if (idr) this.#idrs++;
    this.#queue.push({ shown, ahead: shown - this.#place++, kind, keyFrame, nalUnits: units });
  }
}

function nalUnit(header: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(header), addEmulationPrevention(content)]);
}

/** The number of the frame to which a slice belongs. */
export function shownOf(slice: readonly Buffer[]): number {
  const bytes = removeEmulationPrevention(Buffer.concat(slice));
  return bytes.readUInt32BE(bytes.length - 5);
}
