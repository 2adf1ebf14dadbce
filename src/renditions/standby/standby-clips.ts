import { createHash } from 'node:crypto';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import { JobQueue } from '../job-queue.ts';
import { encodeStandbyClip, type ClipPicture } from './standby-clip-encoder.ts';
import { invalidFile, openStandbyFile } from './standby-clip-file.ts';
import type { StandbyClip, StandbyClipSource, StandbyFormat, StandbyPicture } from './standby-clip.ts';

export interface StandbyClipsOptions {
  /** `media_dir` */
  readonly directory: string;
  /** Bytes of clips that are kept for further use. Default: 128 MB. */
  readonly cacheBytes?: number;
  readonly logger: Logger;
}

interface Entry {
  readonly clip: Promise<StandbyClip>;
  /** 0 while it is being encoded. */
  bytes: number;
}

const CACHE_BYTES = 128 * 1024 * 1024;
const MAX_ENCODES = 2;
/** Each push waits for one clip at most. */
const MAX_WAITING = 100;
const DEFAULT_COLOR = '#000000';

/** Encodes standby clips with ffmpeg and keeps those used last. */
export class StandbyClips implements StandbyClipSource {
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #cacheBytes: number;
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>();
  readonly #encodes = new JobQueue(
    MAX_ENCODES,
    MAX_WAITING,
    () => new GatewayError('LIMIT_REACHED', 'Too many standby clips are being encoded. Try again in some seconds.'),
  );
  readonly #closed = new AbortController();
  #bytes = 0;

  constructor({ directory, cacheBytes = CACHE_BYTES, logger }: StandbyClipsOptions) {
    this.#directory = directory;
    this.#cacheBytes = cacheBytes;
    this.#logger = logger;
  }

  /** Bytes of the clips that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  async clip(picture: StandbyPicture, format: StandbyFormat): Promise<StandbyClip> {
    this.#refuseWhenClosed();
    const valid = validFormat(format);
    const { source, version } = await this.#open(picture);
    const key = keyOf(picture, version, valid);
    let entry = this.#entries.get(key);
    if (entry) {
      // The one used last is at the end.
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    } else entry = this.#start(key, picture, source, valid);
    return entry.clip;
  }

  async check(picture: StandbyPicture): Promise<void> {
    await this.#open(picture);
  }

  /** Stops running encoders; their callers get SHUTTING_DOWN. Idempotent. */
  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.allSettled([...this.#entries.values()].map(({ clip }) => clip));
    this.#entries.clear();
    this.#bytes = 0;
  }

  async #open(picture: StandbyPicture): Promise<{ source: ClipPicture; version: string }> {
    const background = picture.color ?? DEFAULT_COLOR;
    // It becomes a part of ffmpeg's filters.
    if (!/^#[\da-f]{6}$/i.test(background))
      throw new GatewayError('INVALID_REQUEST', 'color must be six hexadecimal digits after #, such as "#1a2b3c".');
    const { text } = picture;
    if (picture.source === 'color')
      return {
        source: { input: { kind: 'color' }, content: Buffer.from(background.slice(1), 'hex'), background, text },
        version: '',
      };
    const { input, content, version } = await openStandbyFile(this.#directory, picture.source, picture.file);
    return { source: { input, background, text, ...(content && { content }) }, version };
  }

  #start(key: string, picture: StandbyPicture, source: ClipPicture, format: StandbyFormat): Entry {
    const clip = this.#encodes.run(() => this.#encode(picture, source, format));
    const entry: Entry = { clip, bytes: 0 };
    this.#entries.set(key, entry);
    clip.then(
      ({ frames }) => {
        if (this.#entries.get(key) !== entry) return;
        entry.bytes = frames.reduce((sum, { data }) => sum + data.length, 0);
        this.#bytes += entry.bytes;
        this.#makeRoom();
      },
      () => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
      },
    );
    return entry;
  }

  /** Forgets the clips that were not used for the longest time. The newest one stays, however large it is. */
  #makeRoom(): void {
    for (const [key, { bytes }] of this.#entries) {
      if (this.#bytes <= this.#cacheBytes) return;
      if (bytes === 0) continue;
      if (this.#bytes === bytes) return;
      this.#entries.delete(key);
      this.#bytes -= bytes;
    }
  }

  async #encode(picture: StandbyPicture, source: ClipPicture, format: StandbyFormat): Promise<StandbyClip> {
    this.#refuseWhenClosed();
    try {
      return await encodeStandbyClip(source, format, this.#logger, this.#closed.signal);
    } catch (error) {
      this.#refuseWhenClosed();
      throw this.#explain(toGatewayError(error, 'ENCODER_FAILED'), picture, source);
    }
  }

  /** ffmpeg's complaints about a file are the file's fault, unless ffmpeg cannot be run at all. */
  #explain(error: GatewayError, picture: StandbyPicture, { input }: ClipPicture): GatewayError {
    if (picture.source === 'color' || !/^ffmpeg (failed|encoded no frames)/.test(error.message)) return error;
    const reason = input.kind === 'video' ? error.message.replaceAll(input.path, picture.file) : error.message;
    return invalidFile(picture.file, `cannot be decoded: ${reason.replace(/\.$/, '')}`, error);
  }

  #refuseWhenClosed(): void {
    if (this.#closed.signal.aborted) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
  }
}

/** Measured rates differ by a little, and every difference would be another clip. */
function validFormat(format: StandbyFormat): StandbyFormat {
  const even = (pixels: number): number => Math.max(16, Math.floor(pixels / 2) * 2);
  const fps = Number.isFinite(format.fps) ? Math.min(120, Math.max(1, Math.round(format.fps * 100) / 100)) : 30;
  return { ...format, width: even(format.width), height: even(format.height), fps };
}

function keyOf(picture: StandbyPicture, version: string, format: StandbyFormat): string {
  const { source, color = DEFAULT_COLOR, text = '' } = picture;
  const { width, height, fps, keyFrameIntervalMs, encoder, sampleAspect, codec } = format;
  const sizes = [width, height, fps, keyFrameIntervalMs, sampleAspect];
  const fields = [source, version, color, text, sizes, codec, encoder?.output, encoder?.header?.toString('hex')];
  return createHash('sha256').update(JSON.stringify(fields)).digest('hex');
}
