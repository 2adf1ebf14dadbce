import { BitReader } from '../bits.ts';
import { NAL_PPS, NAL_SPS, nalType, removeEmulationPrevention } from './avc-nal.ts';
import { parsePps, type PpsSyntax } from './avc-pps.ts';
import { parseSps, parseSpsSyntax, type SpsSyntax } from './avc.ts';

/** The parameter sets that the frames from a key frame on need. */
export interface ParameterSets {
  /** The one of the key frame. */
  readonly sps: Buffer;
  /** Ordered by id. */
  readonly pps: readonly Buffer[];
  /** Others of the same size and profile that are used in turn with it. */
  readonly otherSps?: readonly Buffer[];
}

interface StoredSps {
  readonly bytes: Buffer;
  readonly syntax: SpsSyntax | undefined;
  /** What a decoder is made for: sets with the same value can be used in turn. */
  readonly format: string | undefined;
  isUsed: boolean;
}

interface StoredPps {
  readonly bytes: Buffer;
  readonly syntax: PpsSyntax | undefined;
}

const MAX_SPS_ID = 31;
const MAX_PPS_ID = 255;
/** `numOfPictureParameterSets` in the decoder configuration has eight bits, and one is reserved. */
const MAX_PPS = 255;
/** The decoder configuration has five bits for the number. */
const MAX_SPS = 31;
/**
 * Longer than those of real encoders. Parameter sets are stored, and written at each key frame; the decoder
 * configuration has 16 bits for a length.
 */
const MAX_BYTES = 1024;

/** All parameter sets that a publisher has sent, by their ids, in whatever order they came. */
export class ParameterSetStore {
  readonly #sps = new Map<number, StoredSps>();
  readonly #pps = new Map<number, StoredPps>();
  #lastSps: StoredSps | undefined;

  /** Whether both kinds are known. */
  get isUsable(): boolean {
    return this.#lastSps !== undefined && this.#pps.size > 0;
  }

  /**
   * Adds a parameter set, or replaces the one with its id.
   *
   * @returns whether it is new; `undefined` if it is not a valid parameter set
   */
  take(nalUnit: Buffer): boolean | undefined {
    if (nalUnit.length > MAX_BYTES) return undefined;
    if (nalUnit.length > 0 && nalType(nalUnit) === NAL_SPS) return this.#takeSps(nalUnit);
    return nalUnit.length > 0 && nalType(nalUnit) === NAL_PPS ? this.#takePps(nalUnit) : undefined;
  }

  /** What a slice header depends on. */
  readonly syntaxOf = (ppsId: number): { readonly sps: SpsSyntax; readonly pps: PpsSyntax } | undefined => {
    const pps = this.#pps.get(ppsId)?.syntax;
    const sps = pps && this.#sps.get(pps.spsId)?.syntax;
    return pps && sps && { sps, pps };
  };

  /**
   * The parameter sets for a key frame.
   *
   * @param ppsId of its first slice; if that is not known, the last ones that were sent are taken
   */
  of(ppsId: number | undefined): ParameterSets | undefined {
    const spsId = ppsId === undefined ? undefined : this.#pps.get(ppsId)?.syntax?.spsId;
    const active = (spsId === undefined ? undefined : this.#sps.get(spsId)) ?? this.#lastSps;
    if (!active || this.#pps.size === 0) return undefined;
    active.isUsed = true;
    const inTurn = byId(this.#sps).filter(([, sps]) => sps === active || (sps.isUsed && isSameFormat(sps, active)));
    const spsList = inTurn.slice(0, MAX_SPS).map(([, { bytes }]) => bytes);
    const ids = new Set(inTurn.map(([id]) => id));
    const pps = byId(this.#pps)
      // Sets whose sequence parameter set has not come may belong to this one.
      .filter(([, { syntax }]) => !syntax || ids.has(syntax.spsId) || !this.#sps.has(syntax.spsId))
      .map(([, { bytes }]) => bytes);
    if (pps.length === 0) return undefined;
    return {
      sps: active.bytes,
      pps: pps.slice(0, MAX_PPS),
      ...(spsList.length > 1 && { otherSps: spsList.filter((bytes) => bytes !== active.bytes) }),
    };
  }

  #takeSps(nalUnit: Buffer): boolean | undefined {
    if (nalUnit.length < 4) return undefined;
    const id = idOf(nalUnit, 4);
    if (id === undefined || id > MAX_SPS_ID) return undefined;
    const known = this.#sps.get(id);
    if (known?.bytes.equals(nalUnit)) {
      this.#lastSps = known;
      return false;
    }
    const info = parseSps(nalUnit);
    this.#lastSps = {
      // A copy, because a view keeps the whole datagram alive.
      bytes: Buffer.from(nalUnit),
      syntax: parseSpsSyntax(nalUnit),
      format: info && [info.codedWidth, info.codedHeight, info.width, info.height, info.profile].join(),
      isUsed: false,
    };
    this.#sps.set(id, this.#lastSps);
    return true;
  }

  #takePps(nalUnit: Buffer): boolean | undefined {
    const id = idOf(nalUnit, 1);
    if (id === undefined || id > MAX_PPS_ID) return undefined;
    if (this.#pps.get(id)?.bytes.equals(nalUnit)) return false;
    this.#pps.set(id, { bytes: Buffer.from(nalUnit), syntax: parsePps(nalUnit) });
    return true;
  }
}

/** All sequence parameter sets for a sequence header, ordered by their ids: the order is the same for all of them. */
export function spsListOf({ sps, otherSps = [] }: ParameterSets): Buffer[] {
  return [sps, ...otherSps].sort((one, other) => idOf(one, 4)! - idOf(other, 4)!);
}

const isSameFormat = (one: StoredSps, other: StoredSps): boolean =>
  one.format !== undefined && one.format === other.format;

const byId = <T>(sets: ReadonlyMap<number, T>): Array<[number, T]> => [...sets].sort(([a], [b]) => a - b);

function idOf(nalUnit: Buffer, at: number): number | undefined {
  try {
    return new BitReader(removeEmulationPrevention(nalUnit.subarray(at, at + 8))).unsignedGolomb();
  } catch {
    return undefined;
  }
}

const BASELINE = 66;

/**
 * How many frames are shown later at most than a frame that is decoded after them, as far as a sequence parameter set
 * says so. `undefined`: nothing is known.
 */
export function reorderDepthOf(sps: Buffer): number | undefined {
  const syntax = parseSpsSyntax(sps);
  // Profiles without B-frames, and streams whose frames are shown in the order of decoding.
  if (syntax?.profile === BASELINE || syntax?.pictureOrder.type === 2) return 0;
  return syntax?.reorderFrames;
}
