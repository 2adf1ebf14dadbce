import { NAL_SPS, nalType, nalUnitsOf, readSequenceHeader } from './avc-nal.ts';
import { avcFrame } from './avc.ts';

const FRAME_TYPE_KEY = 1;

/**
 * The body of a video tag with a frame whose parameter sets precede it in band, for decoders that ignore a sequence
 * header in the middle of a stream. A frame that contains some is returned as it is.
 *
 * @param header body of the tag of the frame's sequence header
 */
export function withParameterSets(header: Buffer, frame: Buffer): Buffer {
  const nalUnits = [...nalUnitsOf(frame)];
  if (nalUnits.some((nalUnit) => nalType(nalUnit) === NAL_SPS)) return frame;
  const { sps, pps } = readSequenceHeader(header);
  return avcFrame(
    [...sps, ...pps, ...nalUnits].map((nalUnit) => [nalUnit]),
    frame[0]! >> 4 === FRAME_TYPE_KEY,
    frame.readIntBE(2, 3),
  );
}

/** The parameter sets of an H.264 track, which are in its frames from the first change on. */
export class InBandSets {
  #header: Buffer | undefined;
  #active: boolean;
  #due = false;

  /** @param active they are in the key frames from the beginning */
  constructor(active = false) {
    this.#active = active;
  }

  /** Whether key frames contain their parameter sets. */
  get active(): boolean {
    return this.#active;
  }

  /** The decoder is set up with this sequence header. */
  begin(header: Buffer | undefined): void {
    this.#header = header;
    this.#due = false;
  }

  /** The frames from here on have other parameter sets, which the decoder finds in them. */
  change(header: Buffer): void {
    this.#header = header;
    this.#active = true;
    this.#due = true;
  }

  /** The body of a frame with the parameter sets that it needs. */
  bodyOf(frame: Buffer, keyFrame: boolean): Buffer {
    if (!this.#header || !(this.#due || (this.#active && keyFrame))) return frame;
    this.#due = false;
    return withParameterSets(this.#header, frame);
  }
}
