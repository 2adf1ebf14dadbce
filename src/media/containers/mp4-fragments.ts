import { opusPacketSamples } from '../codecs/opus-packet.ts';
import { audioBytesAt, audioConfigOf, videoConfigOf } from './flv-track.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from './flv-tag.ts';
import { box, fileType, fullBox, movieHeader, timescaleOf, track, u32, u64 } from './mp4-boxes.ts';
import type { AudioTrackFormat, TrackFormat, VideoTrackFormat } from './mp4-boxes.ts';

/** Flags of samples (ISO/IEC 14496-12, 8.8.3.1). */
export const SYNC_SAMPLE = 0x0200_0000;
const DEPENDENT_SAMPLE = 0x0101_0000;

/**
 * Bytes after `ftyp` that do nothing in a fragmented file. Finishing the file turns them into the header of a box that
 * contains all fragments, so that the file is a plain one: see `mp4-index.ts`.
 */
export const PLACEHOLDER_BYTES = 16;

/** A sample before its duration is known is held back; this is the duration of the last one. */
const LAST_DURATION_S = { video: 1 / 30, audio: 0 } as const;
const AAC_SAMPLES = 1024;
/** Steps between samples are rounded away up to this, in milliseconds: tags may have whole milliseconds. */
const ROUNDING_MS = 1;

interface Sample {
  readonly data: Buffer;
  readonly flags: number;
  readonly compositionOffset: number;
  /** Decoding time, in units of the track. */
  readonly time: number;
  duration: number;
}

interface Track {
  readonly id: number;
  format: TrackFormat;
  readonly timescale: number;
  /** Complete, for the next fragment. */
  samples: Sample[];
  /** The latest sample; its duration is known when the next one comes. */
  last: Sample | undefined;
  lastDuration: number;
}

/** Bytes of a video tag's body before the frame, in FLV's own form and in that of Enhanced RTMP. */
const VIDEO_BYTES_AT = 5;

/**
 * Writes FLV tags as fragmented MP4: {@link init}, then fragments, each of which is readable when it is complete. Takes
 * H.264 and AAC as FLV has them, and VP8, VP9, AV1 and Opus as Enhanced RTMP does (`enhanced-tag.ts`). Fragments may
 * begin with any frame. Holds what the next fragment will contain, and nothing else.
 */
export class Mp4Fragments {
  #init: Buffer;
  readonly #video: Track | undefined;
  readonly #audio: Track | undefined;
  #sequence = 0;
  #bytes = 0;
  #firstMs: number | undefined;
  #lastMs = 0;

  /**
   * @param headers sequence headers of the tracks
   * @param options.inBand as after {@link beginInBand}
   * @throws {RangeError} if a header is invalid, or there is none
   */
  constructor(
    headers: { readonly video?: FlvTag | undefined; readonly audio?: FlvTag | undefined },
    { inBand = false }: { readonly inBand?: boolean } = {},
  ) {
    const formats: TrackFormat[] = [];
    if (headers.video) formats.push(videoConfigOf(headers.video));
    if (headers.audio) formats.push(audioConfigOf(headers.audio));
    if (formats.length === 0) throw new RangeError('a recording needs a track');
    const tracks = formats.map((format, index) => newTrack(index + 1, format));
    this.#video = tracks.find(({ format }) => format.kind === 'video');
    this.#audio = tracks.find(({ format }) => format.kind === 'audio');
    this.#init = initOf(tracks);
    if (inBand) this.beginInBand();
  }

  /** The beginning of the file. */
  get init(): Buffer {
    return this.#init;
  }

  /**
   * From here on samples of H.264 contain parameter sets, which may change.
   *
   * @returns the new beginning of the file, of the same length; `undefined` if nothing changes
   */
  beginInBand(): Buffer | undefined {
    if (this.#video?.format.codec !== 'avc1') return undefined;
    this.#video.format = { ...(this.#video.format as VideoTrackFormat), codec: 'avc3' };
    this.#init = initOf([this.#video, this.#audio].filter((one) => one !== undefined));
    return this.#init;
  }

  /** Whether there is audio for the next fragment. */
  get hasAudio(): boolean {
    return this.#audio !== undefined && this.#audio.samples.length > 0;
  }

  /** The latest frame, whose duration is not known yet. */
  get heldFrame(): Buffer | undefined {
    return this.#video?.last?.data;
  }

  /** Milliseconds of media for the next fragment. */
  get bufferedMs(): number {
    return this.#firstMs === undefined ? 0 : this.#lastMs - this.#firstMs;
  }

  get bufferedBytes(): number {
    return this.#bytes;
  }

  /** @param tag media of one of the tracks; others are left out */
  push(tag: FlvTag): void {
    if (tag.sequenceHeader) return;
    if (tag.type === TAG_VIDEO && this.#video && tag.data.length > VIDEO_BYTES_AT) {
      const { codec } = this.#video.format;
      const compositionMs = codec === 'avc1' || codec === 'avc3' ? tag.data.readIntBE(2, 3) : 0;
      const flags = tag.keyFrame ? SYNC_SAMPLE : DEPENDENT_SAMPLE;
      this.#add(this.#video, tag.timestamp, tag.data.subarray(VIDEO_BYTES_AT), flags, compositionMs);
    } else if (tag.type === TAG_AUDIO && this.#audio) {
      const { format } = this.#audio;
      const data = tag.data.subarray(audioBytesAt(format as AudioTrackFormat));
      if (data.length > 0) this.#add(this.#audio, tag.timestamp, data, SYNC_SAMPLE, 0);
    }
  }

  /**
   * The fragment with the samples since the last one; `undefined` if there are none.
   *
   * @param end nothing follows: the latest samples are written too, whose durations are guessed
   * @param beforeMs audio from this time on is left for the next fragment
   */
  take(end: boolean, beforeMs = Infinity): Buffer | undefined {
    const tracks = [this.#video, this.#audio].filter((one) => one !== undefined);
    if (end) for (const one of tracks) releaseLast(one);
    const later = end ? [] : (this.#audio?.samples.filter(({ time }) => time >= this.#audioTime(beforeMs)) ?? []);
    if (this.#audio && later.length > 0) this.#audio.samples = this.#audio.samples.slice(0, -later.length);
    const filled = tracks.filter(({ samples }) => samples.length > 0);
    const fragment = filled.length > 0 ? fragmentOf(++this.#sequence, filled) : undefined;
    for (const one of filled) one.samples = [];
    if (this.#audio) this.#audio.samples = later;
    if (!fragment) return undefined;
    this.#bytes = tracks.reduce(
      (total, { samples, last }) =>
        samples.reduce((sum, { data }) => sum + data.length, total + (last?.data.length ?? 0)),
      0,
    );
    this.#firstMs = undefined;
    return fragment;
  }

  #audioTime(ms: number): number {
    return (ms * this.#audio!.timescale) / 1000;
  }

  #add(into: Track, timestampMs: number, data: Buffer, flags: number, compositionMs: number): void {
    const { timescale, last } = into;
    const exact = (timestampMs * timescale) / 1000;
    let time = Math.max(0, Math.round(exact));
    if (last) {
      const expected = last.time + into.lastDuration;
      const tolerance = (ROUNDING_MS * timescale) / 1000;
      if (into.format.kind === 'audio' && Math.abs(exact - expected) <= tolerance) time = expected;
      // A track never goes back.
      time = Math.max(time, last.time + 1);
      last.duration = time - last.time;
      if (into.format.kind === 'video') into.lastDuration = last.duration;
      into.samples.push(last);
    }
    if (into.format.codec === 'Opus') into.lastDuration = opusPacketSamples(data);
    // A copy: the tag is a view that keeps a whole read buffer alive.
    const compositionOffset = Math.round((compositionMs * timescale) / 1000);
    into.last = { data: Buffer.from(data), flags, compositionOffset, time, duration: 0 };
    this.#bytes += data.length;
    this.#firstMs ??= timestampMs;
    this.#lastMs = Math.max(timestampMs, this.#firstMs);
  }
}

const initOf = (tracks: readonly Track[]): Buffer =>
  Buffer.concat([
    fileType(tracks.map(({ format }) => format)),
    box('free', Buffer.alloc(PLACEHOLDER_BYTES - 8)),
    fragmentedMovie(tracks),
  ]);

const newTrack = (id: number, format: TrackFormat): Track => {
  const timescale = timescaleOf(format);
  const lastDuration = format.kind === 'audio' ? AAC_SAMPLES : Math.round(LAST_DURATION_S.video * timescale);
  return { id, format, timescale, samples: [], last: undefined, lastDuration };
};

function releaseLast(one: Track): void {
  if (!one.last) return;
  one.last.duration = one.lastDuration;
  one.samples.push(one.last);
  one.last = undefined;
}

const NO_TABLES = [
  fullBox('stts', 0, 0, u32(0)),
  fullBox('stsc', 0, 0, u32(0)),
  fullBox('stsz', 0, 0, u32(0, 0)),
  fullBox('stco', 0, 0, u32(0)),
];

const fragmentedMovie = (tracks: readonly Track[]): Buffer =>
  box(
    'moov',
    movieHeader(0, tracks.length),
    ...tracks.map(({ id, format }) => track({ id, format, durationMs: 0, duration: 0, startMs: 0, tables: NO_TABLES })),
    box('mvex', ...tracks.map(({ id }) => fullBox('trex', 0, 0, u32(id, 1, 0, 0, 0)))),
  );

const DEFAULT_BASE_IS_MOOF = 0x02_0000;
/** Data offset; and per sample duration, size, flags, composition offset. */
const RUN_FLAGS = 0x0f01;
export const RUN_ENTRY_BYTES = 16;
const RUN_HEADER_BYTES = 20;

function fragmentOf(sequence: number, tracks: readonly Track[]): Buffer {
  // The offset of the data depends on the size of the box, and not the other way round.
  let offset = 0;
  const build = (base: number): Buffer => {
    offset = base;
    return box('moof', fullBox('mfhd', 0, 0, u32(sequence)), ...tracks.map(trackFragment));
  };
  const trackFragment = ({ id, samples }: Track): Buffer => {
    const run = Buffer.alloc(samples.length * RUN_ENTRY_BYTES);
    const dataOffset = offset;
    samples.forEach(({ data, duration, flags, compositionOffset }, index) => {
      const at = index * RUN_ENTRY_BYTES;
      run.writeUInt32BE(duration, at);
      run.writeUInt32BE(data.length, at + 4);
      run.writeUInt32BE(flags, at + 8);
      run.writeInt32BE(compositionOffset, at + 12);
      offset += data.length;
    });
    return box(
      'traf',
      fullBox('tfhd', 0, DEFAULT_BASE_IS_MOOF, u32(id)),
      fullBox('tfdt', 1, 0, u64(samples[0]!.time)),
      fullBox('trun', 1, RUN_FLAGS, u32(samples.length, dataOffset), run),
    );
  };
  const size = tracks.reduce(
    (total, { samples }) => total + 8 + 16 + 20 + RUN_HEADER_BYTES + samples.length * RUN_ENTRY_BYTES,
    8 + 16,
  );
  const head = build(size + 8);
  if (head.length !== size) throw new Error(`a fragment's header has ${head.length} bytes, not ${size}`);
  return Buffer.concat([head, box('mdat', ...tracks.flatMap(({ samples }) => samples.map(({ data }) => data)))]);
}
