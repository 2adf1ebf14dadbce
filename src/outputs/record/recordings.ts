import { EventEmitter } from 'node:events';
import { rm } from 'node:fs/promises';
import { z } from 'zod';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { RecordSet, Store } from '../../store/store.ts';
import { RECORD_FORMATS } from './container.ts';
import { pathOf } from './recording-name.ts';
import { SerialWork } from '../../runtime/async.ts';

const time = z.iso.datetime();
const count = z.number().int().min(0);

/** Where a recording is besides the disk. */
const RecordingStorageSchema = z.object({
  /**
   * `waiting`: nothing is in the bucket yet. `uploading`: parts of it are. `retrying`: the last request failed, and is
   * repeated. `stored`: the bucket has confirmed the object.
   */
  state: z.enum(['waiting', 'uploading', 'retrying', 'stored']),
  bucket: z.string(),
  key: z.string(),
  /** What the bucket has of it. */
  uploadedBytes: count,
  storedAt: time.optional(),
  /** Whether the file is on the disk. */
  local: z.boolean(),
  /** Why it is `retrying`. */
  reasonCode: z.string().optional(),
  reason: z.string().optional(),
  /** Of the multipart upload that runs. */
  uploadId: z.string().optional(),
  partBytes: z.int().min(1),
  /** Of the finished object. */
  etag: z.string().optional(),
});
export type RecordingStorage = z.output<typeof RecordingStorageSchema>;

/** One recorded file. What later stages add to it (an upload, a poster) are further optional fields. */
export const RecordingSchema = z.object({
  id: z.string(),
  /** The first file of the recording that this one belongs to has this id. Files after a change of codec or size share it. */
  series: z.string(),
  /** 1 for the first file of the series. */
  part: z.int().min(1),
  stream: z.string(),
  /** In `record_dir`. */
  file: z.string(),
  format: z.enum(RECORD_FORMATS),
  /**
   * `recording`: being written. `finishing`: gets its index. `complete`: will not change. `failed`: ended with an error;
   * what was written before can be played.
   */
  state: z.enum(['recording', 'finishing', 'complete', 'failed']),
  startedAt: time,
  endedAt: time.optional(),
  durationMs: count,
  bytes: count,
  /** Frames that are missing because the disk was slow or the gateway overloaded. */
  framesDropped: count,
  /** Unset without a track, and for recordings of older versions. */
  videoCodec: z.enum(['h264', 'vp8', 'vp9', 'av1']).optional(),
  audioCodec: z.enum(['aac', 'opus']).optional(),
  /** Pixels; 0 without video. */
  width: count,
  height: count,
  /** Why it ended: a code of `docs/errors.md` and its message. */
  reasonCode: z.string().optional(),
  reason: z.string().optional(),
  /** Unset where no bucket is configured. */
  storage: RecordingStorageSchema.optional(),
});
export type Recording = z.output<typeof RecordingSchema>;

export interface RecordingFilter {
  readonly stream?: string | undefined;
  readonly state?: Recording['state'] | undefined;
}

interface RecordingsEvents {
  /** A recording has begun or has another state. */
  change: [recording: Recording];
  /** A running recording has grown. */
  progress: [recording: Recording];
  /** The state of its {@link Recording.storage} is another one. */
  storage: [recording: Recording];
  /** A recording and its file do not exist any more. */
  deleted: [recording: Recording];
}

const NAMESPACE = 'recordings';
const PAGE = 500;

/**
 * The recordings that exist, newest last. They are kept in the store, so that a gateway that was killed finishes its
 * files at the next start. Writes follow each other.
 */
export class Recordings extends EventEmitter<RecordingsEvents> {
  readonly folder: string;
  /** Deletes what is elsewhere. When it fails, the recording stays. */
  beforeDelete: ((recording: Recording) => Promise<void>) | undefined;
  readonly #records: RecordSet<Recording>;
  readonly #logger: Logger;
  readonly #byId: Map<string, Recording>;
  readonly #byFile = new Map<string, Recording>();
  /** Resolved when a file has got its index. */
  readonly #finishing = new Map<string, Promise<void>>();
  readonly #writes = new SerialWork();

  private constructor(folder: string, records: RecordSet<Recording>, found: readonly Recording[], logger: Logger) {
    super();
    this.setMaxListeners(0);
    this.folder = folder;
    this.#records = records;
    this.#logger = logger;
    this.#byId = new Map(found.map((recording) => [recording.id, recording]));
    for (const recording of found) this.#byFile.set(recording.file, recording);
  }

  static async create(folder: string, store: Store, logger: Logger): Promise<Recordings> {
    const records = store.records(NAMESPACE, RecordingSchema);
    const found: Recording[] = [];
    for (let after: string | undefined; ;) {
      const page = await records.list({ limit: PAGE, ...(after !== undefined && { after }) });
      found.push(...page.map(({ value }) => value));
      const last = page.at(-1);
      if (!last || page.length < PAGE) break;
      after = last.key;
    }
    found.sort((a, b) => (a.startedAt < b.startedAt ? -1 : a.startedAt > b.startedAt ? 1 : a.part - b.part));
    return new Recordings(folder, records, found, logger);
  }

  /** Oldest first. */
  all(): Recording[] {
    return [...this.#byId.values()];
  }

  /** Newest first. */
  list({ stream, state }: RecordingFilter = {}): Recording[] {
    return this.all()
      .filter((one) => (stream ?? one.stream) === one.stream && (state ?? one.state) === one.state)
      .reverse();
  }

  /** @throws {GatewayError} RECORDING_NOT_FOUND */
  get(id: string): Recording {
    return found(this.#byId.get(id));
  }

  find(id: string): Recording | undefined {
    return this.#byId.get(id);
  }

  /** @throws {GatewayError} RECORDING_NOT_FOUND */
  byFile(file: string): Recording {
    return found(this.#byFile.get(file));
  }

  pathOf({ file }: Pick<Recording, 'file'>): string {
    return pathOf(this.folder, file);
  }

  /** Adds a recording, or replaces it. */
  put(recording: Recording): void {
    const before = this.#byId.get(recording.id);
    this.#byId.set(recording.id, recording);
    this.#byFile.set(recording.file, recording);
    this.#write(() => this.#records.put(recording.id, recording));
    if (before?.state !== recording.state) this.emit('change', recording);
    if (recording.storage && before?.storage?.state !== recording.storage.state) this.emit('storage', recording);
  }

  /** Changes a recording that may have been deleted meanwhile. */
  update(id: string, changes: Partial<Recording>): void {
    const recording = this.#byId.get(id);
    if (recording) this.put({ ...recording, ...changes });
  }

  /** Shows how far a running recording is. Not written to the store: the file itself says it. */
  progress(id: string, progress: Pick<Recording, 'bytes' | 'durationMs' | 'framesDropped'>): void {
    const recording = this.#byId.get(id);
    if (!recording) return;
    const current = { ...recording, ...progress };
    this.#byId.set(id, current);
    this.#byFile.set(current.file, current);
    this.emit('progress', current);
  }

  /** Forgets a recording whose file was never made. */
  forget(id: string): void {
    const recording = this.#byId.get(id);
    if (!recording) return;
    this.#byId.delete(id);
    this.#byFile.delete(recording.file);
    this.#write(() => this.#records.delete(id));
    this.emit('deleted', recording);
  }

  /**
   * Deletes a recording and its file, in the bucket as well.
   *
   * @throws {GatewayError} RECORDING_NOT_FOUND, RECORDING_RUNNING, DISK_FAILED, STORAGE_UNAVAILABLE
   */
  async delete(id: string): Promise<void> {
    const recording = this.get(id);
    if (recording.state === 'recording' || recording.state === 'finishing')
      throw new GatewayError(
        'RECORDING_RUNNING',
        'The recording has not ended. Stop it with /stream/stopRecording, or end its stream, then delete it.',
      );
    await this.beforeDelete?.(recording);
    await this.removeFile(recording);
    this.forget(id);
  }

  /** @throws {GatewayError} DISK_FAILED */
  async removeFile(recording: Recording): Promise<void> {
    try {
      await rm(this.pathOf(recording), { force: true });
    } catch (error) {
      throw new GatewayError('DISK_FAILED', `The file cannot be deleted (${(error as NodeJS.ErrnoException).code}).`, {
        cause: error,
      });
    }
  }

  /** @param work ends when the file has its index */
  finishing(id: string, work: Promise<void>): void {
    this.#finishing.set(
      id,
      work.finally(() => void this.#finishing.delete(id)),
    );
  }

  /** Resolves when the file does not wait for its index any more. */
  async finished(id: string): Promise<void> {
    await this.#finishing.get(id);
  }

  /** Waits until everything is in the store. */
  async close(): Promise<void> {
    await Promise.all(this.#finishing.values());
    await this.#writes.idle();
  }

  #write(work: () => Promise<unknown>): void {
    this.#writes
      .run(work)
      .catch((error: unknown) => this.#logger.error({ err: error }, 'the list of recordings could not be saved'));
  }
}

function found(recording: Recording | undefined): Recording {
  if (recording) return recording;
  throw new GatewayError('RECORDING_NOT_FOUND', 'There is no such recording. GET /api/v1/recordings lists them.');
}
