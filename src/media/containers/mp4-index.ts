import { parseAudioSpecificConfig } from '../codecs/aac.ts';
import { OPUS_SAMPLE_RATE } from '../codecs/opus-packet.ts';
import { box, fullBox, MOVIE_TIMESCALE, movieHeader, timescaleOf, track, u32, VIDEO_ENTRIES } from './mp4-boxes.ts';
import type { TrackFormat } from './mp4-boxes.ts';
import { PLACEHOLDER_BYTES, RUN_ENTRY_BYTES, SYNC_SAMPLE } from './mp4-fragments.ts';

/**
 * Makes a plain MP4 file out of a fragmented one without rewriting it: an index of all samples (`moov`) is appended, and
 * the placeholder at the beginning becomes the header of one `mdat` box that contains all fragments. Reads only what
 * `mp4-fragments.ts` has written, and takes damage of any kind for the end of the file. Pure.
 */

export interface BoxHeader {
  readonly type: string;
  readonly size: number;
}

export const BOX_HEADER_BYTES = 8;

/** The header of a box with a 32-bit size; `undefined` if there is none. */
export function boxHeader(bytes: Buffer, at = 0): BoxHeader | undefined {
  if (bytes.length < at + BOX_HEADER_BYTES) return undefined;
  const size = bytes.readUInt32BE(at);
  if (size < BOX_HEADER_BYTES) return undefined;
  return { type: bytes.toString('latin1', at + 4, at + 8), size };
}

/** The header of the box that contains everything from the placeholder on. */
export function wholeDataHeader(bytes: number): Buffer {
  const header = Buffer.alloc(PLACEHOLDER_BYTES);
  header.writeUInt32BE(1);
  header.write('mdat', 4, 'latin1');
  header.writeBigUInt64BE(BigInt(bytes), 8);
  return header;
}

/** Numbers of 32 bits as they are in the file. */
class Table {
  #bytes = Buffer.allocUnsafeSlow(4096);
  #length = 0;

  get length(): number {
    return this.#length / 4;
  }

  push(...values: readonly number[]): void {
    if (this.#length + values.length * 4 > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(this.#bytes.length * 2);
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    for (const value of values) this.#length = this.#bytes.writeUInt32BE(value >>> 0, this.#length);
  }

  at(index: number): number {
    return this.#bytes.readUInt32BE(index * 4);
  }

  set(index: number, value: number): void {
    this.#bytes.writeUInt32BE(value >>> 0, index * 4);
  }

  /** Adds to the last pair if it has the same value, and otherwise a pair. The count comes first. */
  count(value: number): void {
    if (this.length > 0 && this.at(this.length - 1) === value >>> 0)
      this.set(this.length - 2, this.at(this.length - 2) + 1);
    else this.push(1, value);
  }

  /** Takes the last counted value back. */
  uncount(): void {
    const count = this.at(this.length - 2) - 1;
    if (count === 0) this.#length -= 8;
    else this.set(this.length - 2, count);
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

interface TrackIndex {
  readonly id: number;
  readonly format: TrackFormat;
  readonly durations: Table;
  readonly sizes: Table;
  readonly syncSamples: Table;
  readonly offsets: Table;
  readonly compositions: Table;
  /** First chunk, samples in each chunk, sample description. */
  readonly chunks: Table;
  chunkCount: number;
  start: number | undefined;
  /** Decoding time after the last sample. */
  end: number;
  /** When the frame that is shown last is over. */
  shownEnd: number;
  lastDuration: number;
}

export interface FragmentTotals {
  readonly frames: number;
  readonly durationMs: number;
}

/** The samples of a fragmented file, added fragment by fragment. */
export class Mp4Index {
  readonly #tracks: readonly TrackIndex[];

  /** @param movie the `moov` box of the fragmented file @throws {RangeError} if it is not one of ours */
  constructor(movie: Buffer) {
    this.#tracks = children(movie, BOX_HEADER_BYTES)
      .filter(({ type }) => type === 'trak')
      .map(({ bytes }) => newTrackIndex(...trackOf(bytes)));
    if (this.#tracks.length === 0) throw new RangeError('the file has no tracks');
  }

  get totals(): FragmentTotals {
    const video = this.#tracks.find(({ format }) => format.kind === 'video');
    const ends = this.#tracks.filter(({ start }) => start !== undefined).map((one) => toMs(one, one.shownEnd));
    return { frames: video?.sizes.length ?? 0, durationMs: Math.round(Math.max(0, ...ends)) };
  }

  /**
   * Adds the samples of a fragment.
   *
   * @param fragment a `moof` box
   * @param position of the box in the file
   * @param dataEnd where the fragment's `mdat` ends
   * @returns whether it is valid; otherwise nothing is added
   */
  add(fragment: Buffer, position: number, dataEnd: number): boolean {
    const runs = readRuns(fragment);
    const valid = runs?.every(({ trackId, dataOffset, sizes }) => {
      const size = sizes.reduce((sum, one) => sum + one, 0);
      return this.#tracks.some(({ id }) => id === trackId) && position + dataOffset + size <= dataEnd;
    });
    if (!runs || !valid) return false;
    for (const run of runs)
      addRun(
        this.#tracks.find(({ id }) => id === run.trackId)!,
        run,
        position,
      );
    return true;
  }

  /** The `moov` box of the plain file; `undefined` if there is no sample. */
  movie(): Buffer | undefined {
    const filled = this.#tracks.filter(({ start }) => start !== undefined);
    if (filled.length === 0) return undefined;
    return box('moov', movieHeader(this.totals.durationMs, this.#tracks.length), ...filled.map(trackBox));
  }
}

const toMs = ({ format }: TrackIndex, time: number): number => (time * MOVIE_TIMESCALE) / timescaleOf(format);

function newTrackIndex(id: number, format: TrackFormat): TrackIndex {
  return {
    id,
    format,
    durations: new Table(),
    sizes: new Table(),
    syncSamples: new Table(),
    offsets: new Table(),
    compositions: new Table(),
    chunks: new Table(),
    chunkCount: 0,
    start: undefined,
    end: 0,
    shownEnd: 0,
    lastDuration: 0,
  };
}

interface Run {
  readonly trackId: number;
  readonly startTime: number;
  readonly dataOffset: number;
  readonly durations: readonly number[];
  readonly sizes: readonly number[];
  readonly flags: readonly number[];
  readonly compositions: readonly number[];
}

function addRun(into: TrackIndex, run: Run, position: number): void {
  into.start ??= run.startTime;
  // A fragment between the two was not written: the sample before it lasts longer.
  if (into.sizes.length > 0 && run.startTime !== into.end) {
    const duration = Math.max(0, run.startTime - into.end + into.lastDuration);
    into.durations.uncount();
    into.durations.count(duration);
  }
  let end = run.startTime;
  run.sizes.forEach((size, index) => {
    const duration = run.durations[index]!;
    into.sizes.push(size);
    into.durations.count(duration);
    const composition = run.compositions[index]!;
    into.compositions.count(composition);
    into.shownEnd = Math.max(into.shownEnd, end + composition + duration);
    if (run.flags[index] === SYNC_SAMPLE) into.syncSamples.push(into.sizes.length);
    end += duration;
    into.lastDuration = duration;
  });
  into.end = end;
  const offset = position + run.dataOffset;
  into.offsets.push(Math.floor(offset / 2 ** 32), offset);
  into.chunkCount++;
  const perChunk = into.chunks.length > 0 ? into.chunks.at(into.chunks.length - 2) : undefined;
  if (perChunk !== run.sizes.length) into.chunks.push(into.chunkCount, run.sizes.length, 1);
}

function trackBox(one: TrackIndex): Buffer {
  const { id, format, durations, sizes, syncSamples, offsets, compositions, chunks } = one;
  const duration = one.shownEnd - one.start!;
  const hasCompositions = compositions.length > 2 || compositions.at(1) !== 0;
  const tables = [
    fullBox('stts', 0, 0, u32(durations.length / 2), durations.bytes),
    ...(hasCompositions ? [fullBox('ctts', 1, 0, u32(compositions.length / 2), compositions.bytes)] : []),
    ...(format.kind === 'video' ? [fullBox('stss', 0, 0, u32(syncSamples.length), syncSamples.bytes)] : []),
    fullBox('stsc', 0, 0, u32(chunks.length / 3), chunks.bytes),
    fullBox('stsz', 0, 0, u32(0, sizes.length), sizes.bytes),
    fullBox('co64', 0, 0, u32(offsets.length / 2), offsets.bytes),
  ];
  const startMs = Math.round(toMs(one, one.start!));
  return track({ id, format, durationMs: Math.round(toMs(one, duration)), duration, startMs, tables });
}

interface Child {
  readonly type: string;
  /** With its header. */
  readonly bytes: Buffer;
}

/** The boxes in a box. Stops at damage. */
function children(parent: Buffer, from: number): Child[] {
  const found: Child[] = [];
  for (let at = from; ;) {
    const header = boxHeader(parent, at);
    if (!header || at + header.size > parent.length) return found;
    found.push({ type: header.type, bytes: parent.subarray(at, at + header.size) });
    at += header.size;
  }
}

function child(parent: Buffer, type: string, from = BOX_HEADER_BYTES): Buffer {
  const found = children(parent, from).find((one) => one.type === type);
  if (!found) throw new RangeError(`the file has no box ${type}`);
  return found.bytes;
}

const FULL_BOX_BYTES = 12;
const VIDEO_ENTRY_BYTES = BOX_HEADER_BYTES + 78;
const AUDIO_ENTRY_BYTES = BOX_HEADER_BYTES + 28;
/** In a sample entry. */
const FRAME_SIZE_AT = BOX_HEADER_BYTES + 24;
const CHANNELS_AT = BOX_HEADER_BYTES + 16;
/** Where the length of the AudioSpecificConfig is in the `esds` box of `mp4-boxes.ts`. */
const AUDIO_CONFIG_AT = FULL_BOX_BYTES + 5 + 3 + 5 + 13 + 4;
/** After the header of `tkhd` version 1: two times of eight bytes. */
const TRACK_ID_AT = FULL_BOX_BYTES + 16;

function trackOf(trak: Buffer): [id: number, format: TrackFormat] {
  const id = child(trak, 'tkhd').readUInt32BE(TRACK_ID_AT);
  const sampleTable = child(child(child(trak, 'mdia'), 'minf'), 'stbl');
  const descriptions = child(sampleTable, 'stsd');
  const entry = children(descriptions, FULL_BOX_BYTES + 4)[0];
  const codec = VIDEO_ENTRIES.find((type) => type === entry?.type);
  if (entry && codec) {
    const { box: boxType, bytes } = CONFIGURATIONS[codec];
    const config = child(entry.bytes, boxType, VIDEO_ENTRY_BYTES).subarray(bytes);
    const width = entry.bytes.readUInt16BE(FRAME_SIZE_AT);
    const height = entry.bytes.readUInt16BE(FRAME_SIZE_AT + 2);
    return [id, { kind: 'video', codec, width, height, config }];
  }
  if (entry?.type === 'Opus') {
    const channels = entry.bytes.readUInt16BE(CHANNELS_AT);
    return [id, { kind: 'audio', codec: 'Opus', sampleRate: OPUS_SAMPLE_RATE, channels, config: Buffer.alloc(0) }];
  }
  if (entry?.type !== 'mp4a') throw new RangeError('the file has a track of another codec');
  const esds = child(entry.bytes, 'esds', AUDIO_ENTRY_BYTES);
  const config = esds.subarray(AUDIO_CONFIG_AT + 1, AUDIO_CONFIG_AT + 1 + esds[AUDIO_CONFIG_AT]!);
  return [id, { kind: 'audio', codec: 'mp4a', ...parseAudioSpecificConfig(config), config }];
}

/** The box with the configuration record, and where the record begins in it. */
const CONFIGURATIONS = {
  avc1: { box: 'avcC', bytes: BOX_HEADER_BYTES },
  avc3: { box: 'avcC', bytes: BOX_HEADER_BYTES },
  av01: { box: 'av1C', bytes: BOX_HEADER_BYTES },
  vp08: { box: 'vpcC', bytes: FULL_BOX_BYTES },
  vp09: { box: 'vpcC', bytes: FULL_BOX_BYTES },
} as const;

function readRuns(fragment: Buffer): Run[] | undefined {
  try {
    const parts = children(fragment, BOX_HEADER_BYTES).filter(({ type }) => type === 'traf');
    return parts.length > 0 ? parts.map(({ bytes }) => readRun(bytes)) : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function readRun(traf: Buffer): Run {
  const trackId = child(traf, 'tfhd').readUInt32BE(FULL_BOX_BYTES);
  const startTime = Number(child(traf, 'tfdt').readBigUInt64BE(FULL_BOX_BYTES));
  const trun = child(traf, 'trun');
  const count = trun.readUInt32BE(FULL_BOX_BYTES);
  const dataOffset = trun.readUInt32BE(FULL_BOX_BYTES + 4);
  const entriesAt = FULL_BOX_BYTES + 8;
  if (count === 0 || trun.length !== entriesAt + count * RUN_ENTRY_BYTES) throw new RangeError('a damaged fragment');
  const column = (field: number): number[] =>
    Array.from({ length: count }, (_, index) => trun.readUInt32BE(entriesAt + index * RUN_ENTRY_BYTES + field));
  return {
    trackId,
    startTime,
    dataOffset,
    durations: column(0),
    sizes: column(4),
    flags: column(8),
    compositions: column(12).map((value) => value | 0),
  };
}
