import type { GatewayError } from '../../errors.ts';
import { InBandSets } from '../../media/codecs/avc-in-band.ts';
import { fourccOf } from '../../media/containers/enhanced-tag.ts';
import { TAG_VIDEO, type FlvTag } from '../../media/containers/flv-tag.ts';
import type { Container } from './container.ts';
import { RecordFile, type OpenFile } from './record-file.ts';

/** Milliseconds of media in one write: what is lost if the gateway is killed, and as much again for what is on its way. */
const PIECE_MS = 500;
/** A piece is written earlier when it has this many bytes. */
const MAX_PIECE_BYTES = 4 * 1024 * 1024;

export interface OpenRecordingOptions {
  readonly id: string;
  readonly path: string;
  readonly container: Container;
  readonly hasVideo: boolean;
  /** The profile of the video changes within the file. */
  readonly changesProfile: boolean;
  /** Time of the feed at which the file begins. */
  readonly baseMs: number;
  readonly openFile: OpenFile;
  readonly onWritable: () => void;
  readonly onFailed: (error: GatewayError) => void;
  /** Media was given to the file. */
  readonly onProgress: () => void;
}

/** A file that is being written. */
export class OpenRecording {
  readonly id: string;
  readonly path: string;
  readonly #options: OpenRecordingOptions;
  readonly #file: RecordFile;
  readonly #sets: InBandSets;
  /** Writes what is buffered even when no further media comes. */
  readonly #timer: NodeJS.Timeout;
  #durationMs = 0;
  #failure: GatewayError | undefined;

  constructor(options: OpenRecordingOptions) {
    const { id, path, openFile, changesProfile, onWritable, onFailed } = options;
    this.id = id;
    this.path = path;
    this.#options = options;
    this.#sets = new InBandSets(changesProfile);
    this.#file = new RecordFile(path, openFile, {
      onWritable,
      onFailed: (error) => {
        this.#failure = error;
        onFailed(error);
      },
    });
    this.#timer = setInterval(() => this.#flush(), PIECE_MS * 2);
  }

  get writable(): boolean {
    return this.#file.writable;
  }

  get bytes(): number {
    return this.#file.bytes;
  }

  get durationMs(): number {
    return this.#durationMs;
  }

  /** Why it could not be written. */
  get failure(): GatewayError | undefined {
    return this.#failure;
  }

  get hasVideo(): boolean {
    return this.#options.hasVideo;
  }

  /** @param videoHeader of the video with which it begins */
  begin(videoHeader: FlvTag | undefined): void {
    this.#sets.begin(videoHeader?.data);
    this.#file.write(this.#options.container.init);
  }

  isFull({ timestamp }: FlvTag, limits: { readonly maxFileBytes: number; readonly maxFileMs: number }): boolean {
    const { container, baseMs } = this.#options;
    const { maxFileBytes, maxFileMs } = limits;
    return (
      (maxFileBytes > 0 && this.#file.bytes + container.bufferedBytes >= maxFileBytes) ||
      (maxFileMs > 0 && timestamp - baseMs >= maxFileMs)
    );
  }

  /** Codecs other than H.264 have everything in their frames. */
  changeParameters(header: FlvTag): void {
    if (fourccOf(header)) return;
    const { container, baseMs } = this.#options;
    this.#sets.change(header.data);
    const start = container.changeParameters({ ...header, timestamp: Math.max(0, header.timestamp - baseMs) });
    if (start) this.#file.replaceStart(start);
  }

  push(tag: FlvTag): void {
    const { container, baseMs } = this.#options;
    const timestamp = tag.timestamp - baseMs;
    // Audio from before the first frame of a file after the first.
    if (timestamp < 0) return;
    if (container.bufferedMs >= PIECE_MS || container.bufferedBytes >= MAX_PIECE_BYTES) this.#flush();
    // Where the parameters change, each key frame has its own, so that players can begin anywhere.
    const data = tag.type === TAG_VIDEO ? this.#sets.bodyOf(tag.data, tag.keyFrame) : tag.data;
    container.push({ ...tag, timestamp, data });
    this.#durationMs = Math.max(this.#durationMs, Math.round(timestamp));
  }

  /** No further media comes. */
  end(): void {
    this.#flush(true);
    clearInterval(this.#timer);
  }

  /** After {@link end}: waits until everything is on the disk. */
  close(): Promise<void> {
    return this.#file.close();
  }

  #flush(end = false): void {
    const piece = this.#options.container.take(end);
    if (piece) this.#file.write(piece);
    this.#timer.refresh();
    this.#options.onProgress();
  }
}
