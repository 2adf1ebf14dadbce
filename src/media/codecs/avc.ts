import { BitReader } from '../bits.ts';
import { removeEmulationPrevention } from './avc-nal.ts';
import { readUsability, type SampleAspect, type VideoColour } from './avc-vui.ts';

export type { SampleAspect, VideoColour } from './avc-vui.ts';

/** The fields of a sequence parameter set (ITU-T H.264, 7.3.2.1.1 and annex E). */
export interface SpsInfo {
  /** profile_idc: 66 Baseline, 77 Main, 100 High. */
  readonly profile: number;
  /** The byte of constraint flags. */
  readonly compatibility: number;
  /** level_idc: 31 is level 3.1. */
  readonly level: number;
  /** Pixels, after cropping. */
  readonly width: number;
  readonly height: number;
  /** Pixels, before cropping: what a decoder allocates. */
  readonly codedWidth: number;
  readonly codedHeight: number;
  /** Frames per second, if the parameter set contains timing information. */
  readonly frameRate?: number;
  /** Unless samples are square. */
  readonly sampleAspect?: SampleAspect;
  /** 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4. */
  readonly chromaFormat: number;
  readonly bitDepthLuma: number;
  readonly bitDepthChroma: number;
}

/** The order in which pictures are shown, as a sequence parameter set defines it (7.4.2.1.1). */
export type PictureOrder =
  | { readonly type: 0; readonly log2MaxLsb: number }
  | {
      readonly type: 1;
      readonly deltaAlwaysZero: boolean;
      /** Expected differences between reference frames, repeated in a cycle. */
      readonly offsetsForRefFrames: readonly number[];
    }
  | { readonly type: 2 };

/** The fields of a sequence parameter set that slices depend on. */
export interface SpsSyntax {
  readonly id: number;
  readonly profile: number;
  readonly compatibility: number;
  readonly chromaFormat: number;
  readonly separatePlanes: boolean;
  readonly log2MaxFrameNum: number;
  readonly pictureOrder: PictureOrder;
  readonly maxRefFrames: number;
  /** No fields, and no macroblock pairs of fields. */
  readonly framesOnly: boolean;
  readonly macroblocks: number;
  /**
   * How many frames at most precede a frame in decoding order and follow it in the order of presentation
   * (max_num_reorder_frames). `undefined`: the parameter set does not say.
   */
  readonly reorderFrames?: number;
}

/** Profiles whose parameter sets contain the chroma format (H.264, 7.3.2.1.1). */
const HIGH_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);
/** Level 6.2 allows 16 384 pixels per side. */
const MAX_MACROBLOCKS_PER_SIDE = 1024;
/** Longer than the parameter sets of real encoders; bounds the work on malicious ones. */
const MAX_SPS_BYTES = 1024;

/** Parses a sequence parameter set, including its NAL header. `undefined` if it is not one or is invalid. */
export function parseSps(sps: Buffer): SpsInfo | undefined {
  return parse(sps)?.info;
}

/** The fields of a sequence parameter set that slices depend on. `undefined` as in {@link parseSps}. */
export function parseSpsSyntax(sps: Buffer): SpsSyntax | undefined {
  return parse(sps)?.syntax;
}

/** The colours of a sequence parameter set. `undefined` if it does not say. */
export function parseSpsColour(sps: Buffer): VideoColour | undefined {
  return parse(sps)?.colour;
}

interface Sps {
  readonly info: SpsInfo;
  readonly syntax: SpsSyntax;
  readonly colour: VideoColour | undefined;
}

function parse(sps: Buffer): Sps | undefined {
  if (sps.length < 4 || sps.length > MAX_SPS_BYTES || (sps[0]! & 0x1f) !== 7) return undefined;
  try {
    return readSps(sps);
  } catch {
    return undefined;
  }
}

function readSps(sps: Buffer): Sps | undefined {
  const reader = new BitReader(removeEmulationPrevention(sps.subarray(1)));
  const profile = reader.bits(8);
  const compatibility = reader.bits(8);
  const level = reader.bits(8);
  const id = reader.unsignedGolomb();
  let chromaFormat = 1;
  let bitDepthLuma = 8;
  let bitDepthChroma = 8;
  let separatePlanes = false;
  if (HIGH_PROFILES.has(profile)) {
    chromaFormat = reader.unsignedGolomb();
    if (chromaFormat > 3) return undefined;
    if (chromaFormat === 3) separatePlanes = reader.bit() === 1;
    bitDepthLuma = 8 + reader.unsignedGolomb();
    bitDepthChroma = 8 + reader.unsignedGolomb();
    if (bitDepthLuma > 14 || bitDepthChroma > 14) return undefined;
    reader.skip(1); // qpprime_y_zero_transform_bypass_flag
    if (reader.bit()) skipScalingMatrix(reader, chromaFormat);
  }
  const log2MaxFrameNum = 4 + reader.unsignedGolomb();
  const pictureOrder = readPictureOrder(reader);
  const maxRefFrames = reader.unsignedGolomb();
  reader.skip(1); // gaps_in_frame_num_value_allowed_flag
  const widthInMacroblocks = reader.unsignedGolomb() + 1;
  const heightInMapUnits = reader.unsignedGolomb() + 1;
  const framesOnly = reader.bit();
  const heightInMacroblocks = heightInMapUnits * (2 - framesOnly);
  if (widthInMacroblocks > MAX_MACROBLOCKS_PER_SIDE || heightInMacroblocks > MAX_MACROBLOCKS_PER_SIDE) return undefined;
  if (!framesOnly) reader.skip(1); // mb_adaptive_frame_field_flag
  reader.skip(1); // direct_8x8_inference_flag
  const codedWidth = widthInMacroblocks * 16;
  const codedHeight = heightInMacroblocks * 16;
  let width = codedWidth;
  let height = codedHeight;
  if (reader.bit()) {
    // Offsets are in chroma samples, vertically in pairs of lines for interlaced video (H.264, equations 7-19 to 7-22).
    const unitX = separatePlanes || chromaFormat === 0 || chromaFormat === 3 ? 1 : 2;
    const unitY = (separatePlanes || chromaFormat !== 1 ? 1 : 2) * (2 - framesOnly);
    width -= (reader.unsignedGolomb() + reader.unsignedGolomb()) * unitX;
    height -= (reader.unsignedGolomb() + reader.unsignedGolomb()) * unitY;
    if (width <= 0 || height <= 0) return undefined;
  }
  const { frameRate, colour, reorderFrames, sampleAspect } = readUsability(reader);
  const info: SpsInfo = {
    profile,
    compatibility,
    level,
    width,
    height,
    codedWidth,
    codedHeight,
    chromaFormat,
    bitDepthLuma,
    bitDepthChroma,
    ...(frameRate && { frameRate }),
    ...(sampleAspect && { sampleAspect }),
  };
  const syntax: SpsSyntax = {
    id,
    profile,
    compatibility,
    chromaFormat,
    separatePlanes,
    log2MaxFrameNum,
    pictureOrder,
    maxRefFrames,
    framesOnly: framesOnly === 1,
    macroblocks: widthInMacroblocks * heightInMacroblocks,
    ...(reorderFrames !== undefined && { reorderFrames }),
  };
  return { info, syntax, colour };
}

function skipScalingMatrix(reader: BitReader, chromaFormat: number): void {
  const lists = chromaFormat === 3 ? 12 : 8;
  for (let list = 0; list < lists; list++) {
    if (!reader.bit()) continue;
    const size = list < 6 ? 16 : 64;
    let last = 8;
    for (let i = 0; i < size; i++) {
      const next = (last + reader.signedGolomb() + 256) % 256;
      if (next === 0) break;
      last = next;
    }
  }
}

function readPictureOrder(reader: BitReader): PictureOrder {
  const type = reader.unsignedGolomb();
  if (type === 0) return { type, log2MaxLsb: 4 + reader.unsignedGolomb() };
  if (type === 2) return { type };
  if (type !== 1) throw new RangeError('unknown picture order type');
  const deltaAlwaysZero = reader.bit() === 1;
  reader.signedGolomb(); // offset_for_non_ref_pic
  reader.signedGolomb(); // offset_for_top_to_bottom_field
  const offsetsForRefFrames: number[] = [];
  for (let left = reader.unsignedGolomb(); left > 0; left--) offsetsForRefFrames.push(reader.signedGolomb());
  return { type, deltaAlwaysZero, offsetsForRefFrames };
}

/**
 * The AVC decoder configuration record (ISO/IEC 14496-15, 5.3.3.1) with NAL lengths of four bytes.
 *
 * @param sps the one whose profile and level the record names
 * @param spsList all sequence parameter sets of the record
 * @throws {RangeError} if the parameter sets are too short, too long or too many for the record
 */
export function avcDecoderConfiguration(
  sps: Buffer,
  ppsList: readonly Buffer[],
  spsList: readonly Buffer[] = [sps],
): Buffer {
  if (sps.length < 4) throw new RangeError('the sequence parameter set is too short');
  if (spsList.length < 1 || spsList.length > 31) throw new RangeError('1 to 31 sequence parameter sets are needed');
  if (ppsList.length < 1 || ppsList.length > 255) throw new RangeError('1 to 255 picture parameter sets are needed');
  const parts = [
    Buffer.of(1, sps[1]!, sps[2]!, sps[3]!, 0xff, 0xe0 | spsList.length),
    ...spsList.map(withLength16),
    Buffer.of(ppsList.length),
    ...ppsList.map(withLength16),
  ];
  const info = parseSps(sps);
  if (info && HIGH_PROFILES.has(info.profile))
    parts.push(
      Buffer.of(0xfc | info.chromaFormat, 0xf8 | (info.bitDepthLuma - 8), 0xf8 | (info.bitDepthChroma - 8), 0),
    );
  return Buffer.concat(parts);
}

function withLength16(nalUnit: Buffer): Buffer {
  if (nalUnit.length > 0xffff) throw new RangeError('a parameter set is longer than 65535 bytes');
  const bytes = Buffer.allocUnsafe(2 + nalUnit.length);
  bytes.writeUInt16BE(nalUnit.length);
  nalUnit.copy(bytes, 2);
  return bytes;
}

const KEY_FRAME_AVC = 0x17;
const INTER_FRAME_AVC = 0x27;
const SEQUENCE_HEADER = 0;
const NAL_UNITS = 1;

/** The body of the video tag that configures the decoder. Parameters and errors as {@link avcDecoderConfiguration}. */
export function avcSequenceHeader(sps: Buffer, ppsList: readonly Buffer[], spsList?: readonly Buffer[]): Buffer {
  return Buffer.concat([
    Buffer.of(KEY_FRAME_AVC, SEQUENCE_HEADER, 0, 0, 0),
    avcDecoderConfiguration(sps, ppsList, spsList),
  ]);
}

/**
 * The body of a video tag with one frame: every NAL unit is preceded by its length. This is the only copy of a frame
 * between the received datagrams and the data for the sockets.
 *
 * @param nalUnits each in one or more pieces
 * @param compositionTimeMs presentation time minus decoding time; differs from 0 only with B-frames
 */
export function avcFrame(nalUnits: readonly (readonly Buffer[])[], keyFrame: boolean, compositionTimeMs = 0): Buffer {
  let length = 5;
  for (const pieces of nalUnits) length += 4 + lengthOf(pieces);
  const body = Buffer.allocUnsafe(length);
  body[0] = keyFrame ? KEY_FRAME_AVC : INTER_FRAME_AVC;
  body[1] = NAL_UNITS;
  body.writeIntBE(compositionTimeMs, 2, 3);
  let offset = 5;
  for (const pieces of nalUnits) {
    offset = body.writeUInt32BE(lengthOf(pieces), offset);
    for (const piece of pieces) {
      body.set(piece, offset);
      offset += piece.length;
    }
  }
  return body;
}

function lengthOf(pieces: readonly Buffer[]): number {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  return length;
}
