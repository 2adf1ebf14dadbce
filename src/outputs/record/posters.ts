import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { posterOf } from '../../ffmpeg/ffmpeg-args.ts';
import { runForImage } from '../../ffmpeg/run-for-image.ts';
import { limitReached } from '../../observe/limits.ts';
import type { Logger } from '../../observe/logger.ts';
import { decoderPixels } from '../../renditions/frame-limit.ts';
import { JobQueue } from '../../renditions/job-queue.ts';
import type { FrameSize } from '../../streams/live-stream.ts';
import type { Recording, Recordings } from './recordings.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { SingleFlight } from '../../runtime/async.ts';

export interface PostersOptions {
  readonly recordings: Recordings;
  /** The largest frame that is decoded. */
  readonly maxFrameSize: FrameSize;
  /** Decoders at the same time (`max_snapshot_processes`). */
  readonly maxDecodes: number;
  readonly logger: Logger;
}

/** In `record_dir`. */
const FOLDER = '.posters';
/** Posters that are kept: some 20 MB. The oldest ones are made again when they are asked for. */
const MAX_KEPT = 1000;
const MAX_WAITING = 32;
const TIMEOUT_MS = 10_000;
const WIDTH = 480;
/** The first frames of a stream are often blurred, because browsers begin with a low bitrate. */
const LATEST_SECONDS = 2;

/** One frame of each recording as JPEG. Made when it is first asked for, and kept on the disk until the recording is deleted. */
export class Posters {
  readonly #options: PostersOptions;
  readonly #folder: string;
  readonly #decodes: JobQueue;
  /** On the disk, the oldest first. */
  readonly #kept = new Set<string>();
  readonly #making = new SingleFlight<string, Buffer>();
  /** Recordings without a frame that can be decoded, and why. */
  readonly #failed = new Map<string, GatewayError>();
  readonly #closed = new AbortController();
  readonly #onDeleted = ({ id }: Recording): void => inBackground(this.#delete(id));

  private constructor(options: PostersOptions) {
    this.#options = options;
    this.#folder = join(options.recordings.folder, FOLDER);
    this.#decodes = new JobQueue(options.maxDecodes, MAX_WAITING, () =>
      limitReached('max_snapshot_processes', 'Too many posters are being made. Try again in a second.'),
    );
    options.recordings.on('deleted', this.#onDeleted);
  }

  /** Finds the posters that are there, and deletes those of recordings that are not. */
  static async create(options: PostersOptions): Promise<Posters> {
    const posters = new Posters(options);
    const known = new Set(options.recordings.all().map(({ id }) => id));
    for (const file of await readdir(posters.#folder).catch(() => [])) {
      const id = file.replace(/\.jpg$/, '');
      posters.#kept.add(id);
      if (!known.has(id)) await posters.#delete(id);
    }
    return posters;
  }

  /**
   * The poster of a recording that has ended.
   *
   * @throws {GatewayError} RECORDING_RUNNING; ENCODER_FAILED if it has no frame; LIMIT_REACHED
   */
  async get(recording: Recording): Promise<Buffer> {
    const { id, state } = recording;
    if (state === 'recording' || state === 'finishing')
      throw new GatewayError(
        'RECORDING_RUNNING',
        'The recording has not ended. Take a snapshot of its stream instead.',
      );
    const failure = this.#failed.get(id);
    if (failure) throw failure;
    if (this.#kept.has(id)) {
      const image = await readFile(this.#pathOf(id)).catch(() => undefined);
      if (image) return image;
      this.#kept.delete(id);
    }
    return this.#making.run(id, () => this.#make(recording));
  }

  /** Ends running decodes. */
  async close(): Promise<void> {
    this.#options.recordings.off('deleted', this.#onDeleted);
    this.#closed.abort();
    await this.#making.settled();
  }

  async #make(recording: Recording): Promise<Buffer> {
    const { id, width } = recording;
    try {
      if (width === 0) throw new GatewayError('ENCODER_FAILED', 'The recording has no video.');
      if (recording.storage?.local === false)
        throw new GatewayError('ENCODER_FAILED', 'The recording is in the bucket alone, and its poster is not kept.');
      const image = await this.#decodes.run(() => this.#decode(recording));
      await this.#keep(id, image);
      return image;
    } catch (error) {
      const failure = toGatewayError(error, 'ENCODER_FAILED');
      if (failure.code === 'ENCODER_FAILED' && !this.#closed.signal.aborted) this.#failed.set(id, failure);
      throw failure;
    }
  }

  async #decode({ file, format, width, durationMs }: Recording): Promise<Buffer> {
    const { recordings, maxFrameSize, logger } = this.#options;
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    signal.throwIfAborted();
    const line = posterOf(recordings.pathOf({ file }), format, {
      seconds: Math.min(LATEST_SECONDS, durationMs / 2000),
      width: Math.min(WIDTH, width),
      maxPixels: decoderPixels(maxFrameSize),
    });
    return runForImage(line, [], { purpose: 'poster', signal, logger });
  }

  /** A poster that cannot be kept is made again the next time. */
  async #keep(id: string, image: Buffer): Promise<void> {
    // Deleted meanwhile.
    if (!this.#options.recordings.all().some((one) => one.id === id)) return;
    const path = this.#pathOf(id);
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o750 });
      await writeFile(`${path}.new`, image, { mode: 0o640 });
      await rename(`${path}.new`, path);
      this.#kept.add(id);
      for (const oldest of this.#kept) {
        if (this.#kept.size <= MAX_KEPT) break;
        await this.#delete(oldest);
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.#options.logger.warn({ recording: id, code }, 'the poster of a recording cannot be kept');
      await rm(`${path}.new`, { force: true }).catch(() => undefined);
    }
  }

  async #delete(id: string): Promise<void> {
    this.#failed.delete(id);
    if (this.#kept.delete(id)) await rm(this.#pathOf(id), { force: true }).catch(() => undefined);
  }

  #pathOf(id: string): string {
    return join(this.#folder, `${id}.jpg`);
  }
}
