/** Boxes of ISO base media files (ISO/IEC 14496-12), and the descriptions of the tracks that recordings have. Pure. */

/** `avc3`: as `avc1`, and samples may contain parameter sets, which replace those of the description. */
export const VIDEO_ENTRIES = ['avc1', 'avc3', 'vp08', 'vp09', 'av01'] as const;

export interface VideoTrackFormat {
  readonly kind: 'video';
  /** The type of the sample entry. */
  readonly codec: (typeof VIDEO_ENTRIES)[number];
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** The configuration record of the codec: the content of `avcC`, `vpcC` (after version and flags) or `av1C`. */
  readonly config: Buffer;
}
export interface AudioTrackFormat {
  readonly kind: 'audio';
  readonly codec: 'mp4a' | 'Opus';
  /** Hertz. */
  readonly sampleRate: number;
  readonly channels: number;
  /** The AudioSpecificConfig of AAC; nothing for Opus. */
  readonly config: Buffer;
}
export type TrackFormat = VideoTrackFormat | AudioTrackFormat;

/** Units per second of the movie itself. */
export const MOVIE_TIMESCALE = 1000;
const VIDEO_TIMESCALE = 90_000;
const MAX_U32 = 0xffff_ffff;

/** Units per second of a track's times. */
export const timescaleOf = (format: TrackFormat): number =>
  format.kind === 'video' ? VIDEO_TIMESCALE : format.sampleRate;

export function box(type: string, ...content: readonly Uint8Array[]): Buffer {
  const size = content.reduce((total, part) => total + part.length, 8);
  if (size > MAX_U32) throw new RangeError(`a box ${type} of ${size} bytes is too large`);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(size);
  header.write(type, 4, 'latin1');
  return Buffer.concat([header, ...content], size);
}

export function fullBox(type: string, version: number, flags: number, ...content: readonly Uint8Array[]): Buffer {
  return box(type, u32((version << 24) | flags), ...content);
}

const u16 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, index) => bytes.writeUInt16BE(value & 0xffff, index * 2));
  return bytes;
};
export const u32 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value >>> 0, index * 4));
  return bytes;
};
export const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(Math.round(value)));
  return bytes;
};
const zeros = (bytes: number): Buffer => Buffer.alloc(bytes);
const text = (value: string): Buffer => Buffer.from(value, 'latin1');

/** Without rotation, scaling or shift. */
const UNITY_MATRIX = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);
const LANGUAGE_UNDETERMINED = 0x55c4;

/** Readers of AV1 ask for its brand. */
export const fileType = (tracks: readonly TrackFormat[] = []): Buffer => {
  const codec = tracks.find(({ kind }) => kind === 'video')?.codec;
  return box('ftyp', text('isom'), u32(0x200), text(codec === 'av01' ? 'isomiso6av01mp41' : 'isomiso6avc1mp41'));
};

/** @param durationMs 0 while unknown */
export const movieHeader = (durationMs: number, tracks: number): Buffer =>
  fullBox(
    'mvhd',
    1,
    0,
    u64(0), // creation time
    u64(0),
    u32(MOVIE_TIMESCALE),
    u64(durationMs),
    u32(0x10000), // rate
    u16(0x100, 0), // volume
    zeros(8),
    UNITY_MATRIX,
    zeros(24),
    u32(tracks + 1), // next track id
  );

export interface TrackParts {
  readonly id: number;
  readonly format: TrackFormat;
  /** In movie time and in track time; 0 while unknown. */
  readonly durationMs: number;
  readonly duration: number;
  /** Where the track begins, in movie time. */
  readonly startMs: number;
  /** The sample tables after `stsd`. */
  readonly tables: readonly Buffer[];
}

const ENABLED_IN_MOVIE = 3;

export function track({ id, format, durationMs, duration, startMs, tables }: TrackParts): Buffer {
  const isVideo = format.kind === 'video';
  const size = isVideo ? [format.width << 16, format.height << 16] : [0, 0];
  const trackHeader = fullBox(
    'tkhd',
    1,
    ENABLED_IN_MOVIE,
    u64(0),
    u64(0),
    u32(id, 0),
    u64(startMs + durationMs),
    zeros(8),
    u16(0, isVideo ? 0 : 1, isVideo ? 0 : 0x100, 0), // layer, group of alternatives, volume
    UNITY_MATRIX,
    u32(...size),
  );
  const edits = startMs > 0 ? [editList(startMs, durationMs)] : [];
  const mediaHeader = fullBox(
    'mdhd',
    1,
    0,
    u64(0),
    u64(0),
    u32(timescaleOf(format)),
    u64(duration),
    u16(LANGUAGE_UNDETERMINED, 0),
  );
  const handler = fullBox(
    'hdlr',
    0,
    0,
    u32(0),
    text(isVideo ? 'vide' : 'soun'),
    zeros(12),
    text(isVideo ? 'Video\0' : 'Audio\0'),
  );
  const kindHeader = isVideo ? fullBox('vmhd', 0, 1, zeros(8)) : fullBox('smhd', 0, 0, zeros(4));
  const dataInThisFile = box('dinf', fullBox('dref', 0, 0, u32(1), fullBox('url ', 0, 1)));
  const sampleTable = box('stbl', fullBox('stsd', 0, 0, u32(1), sampleEntry(format)), ...tables);
  return box(
    'trak',
    trackHeader,
    ...edits,
    box('mdia', mediaHeader, handler, box('minf', kindHeader, dataInThisFile, sampleTable)),
  );
}

/** Nothing until `startMs`, then the track from its beginning. */
const editList = (startMs: number, durationMs: number): Buffer =>
  box(
    'edts',
    fullBox('elst', 1, 0, u32(2), u64(startMs), u32(MAX_U32, MAX_U32, 0x10000), u64(durationMs), u64(0), u32(0x10000)),
  );

function sampleEntry(format: TrackFormat): Buffer {
  const common = [zeros(6), u16(1)]; // data reference
  if (format.kind === 'video')
    return box(
      format.codec,
      ...common,
      zeros(16),
      u16(format.width, format.height),
      u32(0x480000, 0x480000, 0), // 72 dpi
      u16(1), // frames in a sample
      zeros(32), // name of the compressor
      u16(24, 0xffff), // depth, no colour table
      configuration(format),
    );
  return box(
    format.codec,
    ...common,
    zeros(8),
    u16(format.channels, 16),
    zeros(4),
    u32(format.sampleRate << 16),
    format.codec === 'Opus' ? opusConfiguration(format) : elementaryStream(format.config),
  );
}

function configuration({ codec, config }: VideoTrackFormat): Buffer {
  if (codec === 'avc1' || codec === 'avc3') return box('avcC', config);
  return codec === 'av01' ? box('av1C', config) : fullBox('vpcC', 1, 0, config);
}

/** The `dOps` box (Encapsulation of Opus in ISOBMFF, 4.3.2), with no samples to skip and no gain. */
const opusConfiguration = ({ sampleRate, channels }: AudioTrackFormat): Buffer =>
  box('dOps', Buffer.of(0, channels), u16(0), u32(sampleRate), u16(0), Buffer.of(0));

/** The `esds` box of AAC (ISO/IEC 14496-1, 7.2.6). */
function elementaryStream(config: Buffer): Buffer {
  const descriptor = (tag: number, ...content: readonly Buffer[]): Buffer => {
    const body = Buffer.concat(content);
    return Buffer.concat([Buffer.of(tag, 0x80, 0x80, 0x80, body.length), body]);
  };
  const AAC = 0x40;
  const AUDIO_STREAM = 0x15;
  const decoder = descriptor(4, Buffer.of(AAC, AUDIO_STREAM, 0, 0, 0), u32(0, 0), descriptor(5, config));
  return fullBox('esds', 0, 0, descriptor(3, u16(1), Buffer.of(0), decoder, descriptor(6, Buffer.of(2))));
}
