import { GatewayError, type ErrorCode } from '../../../errors.ts';
import type { Logger } from '../../../observe/logger.ts';
import { JobQueue } from '../../../renditions/job-queue.ts';
import type { Store } from '../../../store/store.ts';
import type { Recording, Recordings } from '../recordings.ts';
import { BucketError, type Bucket, type ReadObject } from './bucket.ts';
import { StoredParts } from './stored-parts.ts';
import { Throttle } from './throttle.ts';
import { Upload, type UploadEnvironment } from './upload.ts';
import { inBackground } from '../../../runtime/in-background.ts';
import { backoffMs, SingleFlight, type Backoff } from '../../../runtime/async.ts';

export interface UploadsOptions {
  readonly recordings: Recordings;
  /** `undefined`: none is configured. Recordings of earlier settings may be in one. */
  readonly bucket: Bucket | undefined;
  readonly prefix: string;
  readonly partBytes: number;
  readonly maxUploads: number;
  /** Of all uploads together; 0: no limit. */
  readonly maxBitsPerSecond: number;
  readonly deleteLocal: boolean;
  /** Clients read from the bucket itself. */
  readonly redirect: boolean;
  readonly beforeRelease: (recording: Recording) => Promise<unknown>;
  readonly store: Store;
  readonly logger: Logger;
  /** For tests. */
  readonly delayMs?: (failures: number) => number;
  readonly stallMs?: number;
}

/** How a client gets a recording that is in the bucket alone. */
export type StoredFile = { readonly redirect: string } | { readonly object: ReadObject };

const RETRIES: Backoff = { intervalMs: 2000, capMs: 300_000 };
const STALL_MS = 30_000;
/** Of a request for a client. Milliseconds. */
const REQUEST_MS = 10_000;

const delayMs = (failures: number): number => backoffMs(RETRIES, failures - 1, Math.random());

/** Recordings in the bucket: uploads them, reads them, deletes them. A bucket that does not answer delays nothing else. */
export class Uploads {
  readonly #options: UploadsOptions;
  readonly #environment: UploadEnvironment | undefined;
  readonly #parts: StoredParts;
  readonly #uploads = new Map<string, Upload>();
  /** Uploads whose parts are being read from the store. */
  readonly #creating = new SingleFlight<string, void>();
  readonly #onChange = (recording: Recording): void => {
    this.#follow(recording).catch((error: unknown) =>
      this.#options.logger.error({ err: error, recording: recording.id }, 'a recording cannot be uploaded'),
    );
  };
  readonly #onProgress = ({ id, bytes }: Recording): void => this.#uploads.get(id)?.grown(bytes);
  readonly #onDeleted = ({ id }: Recording): void => {
    inBackground(this.#uploads.get(id)?.stop());
    this.#uploads.delete(id);
  };
  #bytes = 0;
  #failures = 0;
  #closed = false;

  private constructor(options: UploadsOptions) {
    this.#options = options;
    const { recordings, bucket, store, maxUploads, maxBitsPerSecond, deleteLocal, beforeRelease, logger } = options;
    this.#parts = new StoredParts(store, logger);
    this.#environment = bucket && {
      ...{ recordings, bucket, deleteLocal, beforeRelease, logger, parts: this.#parts },
      slots: new JobQueue(maxUploads, Infinity, () => new GatewayError('LIMIT_REACHED', 'Too many uploads.')),
      throttle: new Throttle(maxBitsPerSecond),
      delayMs: options.delayMs ?? delayMs,
      stallMs: options.stallMs ?? STALL_MS,
      onUploaded: (bytes) => void (this.#bytes += bytes),
      onFailure: () => void this.#failures++,
      onRecovered: () => {
        for (const upload of this.#uploads.values()) upload.hurry();
      },
      onDone: (id) => void this.#uploads.delete(id),
    };
  }

  /** Continues uploads that a restart has interrupted, in the background. */
  static create(options: UploadsOptions): Uploads {
    const uploads = new Uploads(options);
    const { recordings, bucket } = options;
    recordings.beforeDelete = (recording) => uploads.#delete(recording);
    if (!bucket) return uploads;
    recordings.on('change', uploads.#onChange);
    recordings.on('progress', uploads.#onProgress);
    recordings.on('deleted', uploads.#onDeleted);
    for (const recording of recordings.all()) uploads.#onChange(recording);
    return uploads;
  }

  /** Where no bucket is configured. */
  static none(parts: Pick<UploadsOptions, 'recordings' | 'store' | 'logger'>): Uploads {
    return Uploads.create({
      ...{ ...parts, bucket: undefined, prefix: '', partBytes: 0, maxUploads: 1, maxBitsPerSecond: 0 },
      ...{ deleteLocal: false, redirect: false, beforeRelease: async () => undefined },
    });
  }

  get configured(): boolean {
    return this.#environment !== undefined;
  }

  get bytesUploaded(): number {
    return this.#bytes;
  }

  /** Requests that have failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Recordings that are not in the bucket yet, by state. */
  get counts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>([
      ['waiting', 0],
      ['uploading', 0],
      ['retrying', 0],
    ]);
    for (const { storage } of this.#options.recordings.all())
      if (storage && storage.state !== 'stored') counts.set(storage.state, counts.get(storage.state)! + 1);
    return counts;
  }

  /** Bytes of recordings that the bucket does not have yet. */
  get missingBytes(): number {
    return this.#options.recordings
      .all()
      .reduce(
        (sum, { bytes, storage }) =>
          storage && storage.state !== 'stored' ? sum + Math.max(0, bytes - storage.uploadedBytes) : sum,
        0,
      );
  }

  /**
   * How to read a recording whose file is not on the disk any more.
   *
   * @param range a value of the header `Range`
   * @throws {GatewayError} STORAGE_UNAVAILABLE, RECORDING_NOT_FOUND, RANGE_NOT_SATISFIABLE
   */
  async read(recording: Recording, range: string | undefined, method: 'GET' | 'HEAD'): Promise<StoredFile> {
    const bucket = this.#bucketOf(recording);
    const object = recording.storage!;
    return refused(async () => {
      if (this.#options.redirect) return { redirect: await bucket.signedUrl(object, method) };
      return { object: await inTime((signal) => bucket.read(object, singleRange(range), method, signal)) };
    });
  }

  /** Deletes the file of a stored recording, which is in the bucket. */
  async release(recording: Recording): Promise<void> {
    const { recordings } = this.#options;
    const { id, storage } = recording;
    if (storage?.state !== 'stored' || !storage.local) return;
    await this.#options.beforeRelease(recording);
    await recordings.removeFile(recording);
    recordings.update(id, { storage: { ...storage, local: false } });
  }

  /** Ends running requests. They continue after the next start. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const { recordings, bucket } = this.#options;
    recordings.off('change', this.#onChange);
    recordings.off('progress', this.#onProgress);
    recordings.off('deleted', this.#onDeleted);
    await this.#creating.settled();
    await Promise.all([...this.#uploads.values()].map((upload) => upload.stop()));
    bucket?.close();
  }

  async #follow(recording: Recording): Promise<void> {
    const { id, state, storage, bytes } = recording;
    if (state === 'finishing' || this.#closed || (storage?.state === 'stored' && !this.#isToRelease(recording))) return;
    const hasEnded = state !== 'recording';
    // A gateway that was killed has left it: it changes when its file is complete.
    if (!hasEnded && storage) return;
    if (hasEnded && bytes === 0) {
      await this.#forget(id);
      return;
    }
    await this.#creating.run(id, () => this.#create(id));
    if (hasEnded) await this.#uploads.get(id)?.ended(recording);
  }

  #isToRelease({ storage }: Recording): boolean {
    return this.#options.deleteLocal && storage?.local === true;
  }

  /** There is nothing to upload. */
  async #forget(id: string): Promise<void> {
    const upload = this.#uploads.get(id);
    this.#uploads.delete(id);
    await upload?.stop();
    this.#options.recordings.update(id, { storage: undefined });
  }

  async #create(id: string): Promise<void> {
    const environment = this.#environment!;
    if (this.#uploads.has(id)) return;
    const { recordings, prefix, partBytes } = this.#options;
    const { file, storage } = recordings.get(id);
    if (!storage)
      recordings.update(id, {
        storage: {
          ...{ state: 'waiting', bucket: environment.bucket.name, key: prefix + file, partBytes },
          ...{ uploadedBytes: 0, local: true },
        },
      });
    const upload = await Upload.create(recordings.get(id), environment);
    if (!this.#closed) this.#uploads.set(id, upload);
  }

  /** @throws {GatewayError} STORAGE_UNAVAILABLE */
  async #delete(recording: Recording): Promise<void> {
    const { id, storage } = recording;
    await this.#creating.get(id);
    const upload = this.#uploads.get(id);
    this.#uploads.delete(id);
    await upload?.stop();
    try {
      if (storage) await this.#deleteObject(this.#options.recordings.find(id) ?? recording);
    } catch (error) {
      if (upload) this.#onChange(recording);
      throw error;
    }
    await this.#parts.delete(id);
  }

  /** The object, or what was uploaded of it so far. */
  async #deleteObject(recording: Recording): Promise<void> {
    const storage = recording.storage!;
    const { uploadId, etag } = storage;
    if (uploadId === undefined && etag === undefined) return;
    const bucket = this.#bucketOf(recording);
    await refused(() =>
      inTime(async (signal) => {
        if (uploadId !== undefined) await bucket.abort(storage, uploadId, signal);
        await bucket.delete(storage, signal);
      }),
    );
  }

  /** @throws {GatewayError} STORAGE_UNAVAILABLE */
  #bucketOf({ storage }: Recording): Bucket {
    const { bucket } = this.#options;
    if (bucket) return bucket;
    throw new GatewayError(
      'STORAGE_UNAVAILABLE',
      `The recording is in the bucket ${storage?.bucket}, which is not configured. Set s3_bucket.`,
    );
  }
}

/** Ends a request for which a client waits. */
async function inTime<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const reason = new BucketError('other', `The bucket did not answer within ${REQUEST_MS / 1000} s.`);
  const timer = setTimeout(() => late.abort(reason), REQUEST_MS);
  try {
    return await work(late.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** Clients of files ask for one range. What else the header may say is ignored, as RFC 9110 allows. */
const singleRange = (range: string | undefined): string | undefined =>
  range !== undefined && /^bytes=(?:\d{1,15}-\d{0,15}|-\d{1,15})$/.test(range) ? range : undefined;

const CODES: Partial<Record<BucketError['failure'], ErrorCode>> = {
  missing: 'RECORDING_NOT_FOUND',
  range: 'RANGE_NOT_SATISFIABLE',
};

/** @throws {GatewayError} what a client is told about a failure of the bucket */
async function refused<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof BucketError)) throw error;
    throw new GatewayError(CODES[error.failure] ?? 'STORAGE_UNAVAILABLE', error.message);
  }
}
