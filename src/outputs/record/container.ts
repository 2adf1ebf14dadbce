import { flvHeader, flvTagParts } from '../../media/containers/flv-writer.ts';
import { TAG_SCRIPT, type FlvTag, type StreamMetadata } from '../../media/containers/flv-tag.ts';
import { Mp4Fragments } from '../../media/containers/mp4-fragments.ts';
import { metadataEntries } from '../../media/containers/script-data.ts';
import { EcmaArray, encodeAmf0 } from '../../media/amf0.ts';

export const RECORD_FORMATS = ['mp4', 'flv'] as const;
export type RecordFormat = (typeof RECORD_FORMATS)[number];

/** Sequence headers of the tracks that a file has. */
export interface TrackHeaders {
  readonly video?: FlvTag | undefined;
  readonly audio?: FlvTag | undefined;
}

/** Turns tags into the bytes of a file, piece by piece. A file that ends after any piece is readable. */
export interface Container {
  /** The beginning of the file. */
  readonly init: Buffer;
  /** Milliseconds and bytes of media for the next piece. */
  readonly bufferedMs: number;
  readonly bufferedBytes: number;
  /** Takes media. */
  push(tag: FlvTag): void;
  /**
   * Another sequence header of the same track, whose parameter sets are also in the frames that follow.
   *
   * @returns what the beginning of the file must be replaced with, if anything
   */
  changeParameters(header: FlvTag): Buffer | undefined;
  /** @param end nothing follows @returns the next piece; `undefined` if there is nothing to write */
  take(end: boolean): Buffer | undefined;
}

/**
 * @param inBand key frames of H.264 contain their parameter sets, which may change
 * @throws {RangeError} if a header is invalid
 */
export function createContainer(
  format: RecordFormat,
  headers: TrackHeaders,
  metadata: StreamMetadata,
  inBand = false,
): Container {
  return format === 'mp4' ? new Mp4Pieces(headers, { inBand }) : new FlvPieces(headers, metadata);
}

class Mp4Pieces extends Mp4Fragments implements Container {
  /** Times of the first and last frame of each track in the next piece. */
  readonly #spans = new Map<number, { readonly firstMs: number; lastMs: number }>();

  /** Of the longer track: audio that was waited for is seconds behind the video. */
  override get bufferedMs(): number {
    return Math.max(0, ...[...this.#spans.values()].map(({ firstMs, lastMs }) => lastMs - firstMs));
  }

  override push(tag: FlvTag): void {
    super.push(tag);
    const span = this.#spans.get(tag.type);
    if (span) span.lastMs = tag.timestamp;
    else this.#spans.set(tag.type, { firstMs: tag.timestamp, lastMs: tag.timestamp });
  }

  override take(end: boolean): Buffer | undefined {
    this.#spans.clear();
    return super.take(end);
  }

  changeParameters(): Buffer | undefined {
    return this.beginInBand();
  }
}

const DURATION = 'duration';
/** After the key of a value comes the marker of a number. */
const NUMBER_AT = DURATION.length + 1;

/** Where the duration of an FLV recording is, in the first bytes of the file; `undefined` if it is not one of ours. */
export function flvDurationAt(start: Buffer): number | undefined {
  const key = start.indexOf(DURATION, 0, 'latin1');
  return key < 0 || key + NUMBER_AT + 8 > start.length ? undefined : key + NUMBER_AT;
}

class FlvPieces implements Container {
  readonly init: Buffer;
  #parts: Buffer[] = [];
  #bytes = 0;
  #firstMs: number | undefined;
  #lastMs = 0;

  constructor({ video, audio }: TrackHeaders, metadata: StreamMetadata) {
    // The duration is filled in when the file is finished.
    const data = encodeAmf0('onMetaData', new EcmaArray({ [DURATION]: 0, ...metadataEntries(metadata) }));
    const script: FlvTag = { type: TAG_SCRIPT, timestamp: 0, data, keyFrame: false, sequenceHeader: false };
    const tags = [script, video, audio].filter((tag) => tag !== undefined);
    this.init = Buffer.concat([
      flvHeader({ audio: audio !== undefined, video: video !== undefined }),
      ...tags.flatMap((tag) => bytesOf(tag, 0)),
    ]);
  }

  get bufferedMs(): number {
    return this.#firstMs === undefined ? 0 : this.#lastMs - this.#firstMs;
  }

  get bufferedBytes(): number {
    return this.#bytes;
  }

  push(tag: FlvTag): void {
    // A copy: the tag is a view that keeps a whole read buffer alive.
    const bytes = Buffer.concat(bytesOf(tag));
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    this.#firstMs ??= tag.timestamp;
    this.#lastMs = Math.max(tag.timestamp, this.#firstMs);
  }

  changeParameters(header: FlvTag): undefined {
    this.push(header);
  }

  take(): Buffer | undefined {
    if (this.#parts.length === 0) return undefined;
    const piece = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    this.#firstMs = undefined;
    return piece;
  }
}

function bytesOf(tag: FlvTag, timestamp = tag.timestamp): Buffer[] {
  const { head, tail } = flvTagParts(tag, timestamp);
  return [head, tag.data, tail];
}
