import { stat } from 'node:fs/promises';
import type { Logger } from '../../../observe/logger.ts';
import type { JobQueue } from '../../../renditions/job-queue.ts';
import type { Recording, RecordingStorage, Recordings } from '../recordings.ts';
import { BucketError, type Bucket, type ObjectName } from './bucket.ts';
import { md5OfRange, streamOfRange } from './file-part.ts';
import { multipartEtag, type PartRange, type UploadedPart } from './part-plan.ts';
import type { StoredParts } from './stored-parts.ts';
import type { Throttle } from './throttle.ts';
import {
  nextUploadState,
  type UploadEffect,
  type UploadEvent,
  type UploadFailure,
  type UploadResult,
  type UploadState,
  type UploadStep,
} from './upload-state.ts';
import { inBackground } from '../../../runtime/in-background.ts';
import { wallClockDate } from '../../../runtime/wall-clock.ts';

/** What all uploads of a gateway share. */
export interface UploadEnvironment {
  readonly recordings: Recordings;
  readonly bucket: Bucket;
  readonly parts: StoredParts;
  /** Uploads that work at the same time. */
  readonly slots: JobQueue;
  readonly throttle: Throttle;
  readonly deleteLocal: boolean;
  /** Milliseconds before the next attempt. */
  readonly delayMs: (failures: number) => number;
  /** A server that neither takes nor sends bytes for this long is given up. */
  readonly stallMs: number;
  /** The last chance to read the file. */
  readonly beforeRelease: (recording: Recording) => Promise<unknown>;
  readonly onUploaded: (bytes: number) => void;
  /** After a success that follows failures: other uploads need not wait any longer. */
  readonly onRecovered: () => void;
  /** Nothing is left to do. */
  readonly onDone: (id: string) => void;
  readonly onFailure: () => void;
  readonly logger: Logger;
}

/** S3 may need minutes to put thousands of parts together. */
const COMPLETE_MS = 300_000;
const CONTENT_TYPES = { mp4: 'video/mp4', flv: 'video/x-flv' } as const;

/** Uploads one recording: while it is written, and on to the end. */
export class Upload {
  readonly id: string;
  readonly #environment: UploadEnvironment;
  readonly #object: ObjectName;
  readonly #logger: Logger;
  readonly #stopped = new AbortController();
  #state: UploadState;
  #pending: UploadStep | undefined;
  /** Has a slot, or waits for one. */
  #isScheduled = false;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(
    { id, file }: Recording,
    { bucket, key, uploadId, partBytes, etag, local, state }: RecordingStorage,
    parts: readonly UploadedPart[],
    environment: UploadEnvironment,
  ) {
    this.id = id;
    this.#environment = environment;
    this.#object = { bucket, key };
    this.#logger = environment.logger.child({ recording: id, file, bucket, key });
    this.#state = {
      ...{ status: 'idle', failures: 0 },
      facts: {
        ...{ partBytes, bytes: 0, ended: false, uploadId, etag, local, lost: false, confirmed: state === 'stored' },
        ...{ checked: uploadId === undefined, parts: new Map(parts.map((part) => [part.number, part])) },
        deleteLocal: environment.deleteLocal,
      },
    };
  }

  /** Begins to upload a recording, or continues. `storage` of the recording is set. */
  static async create(recording: Recording, environment: UploadEnvironment): Promise<Upload> {
    const storage = recording.storage!;
    const parts = storage.uploadId === undefined ? [] : await environment.parts.list(recording.id);
    return new Upload(recording, storage, parts, environment);
  }

  /** The upload that the bucket knows, and that is not finished. */
  get uploadId(): string | undefined {
    return this.#state.facts.uploadId;
  }

  /** @param bytes complete fragments that are in the file */
  grown(bytes: number): void {
    this.#dispatch({ type: 'grown', bytes });
  }

  /** The file will not change any more. */
  async ended(recording: Recording): Promise<void> {
    const path = this.#environment.recordings.pathOf(recording);
    const bytes = await stat(path).then(
      ({ size }) => size,
      () => recording.bytes,
    );
    this.#dispatch({ type: 'ended', bytes });
  }

  /** Tries again at once after a failure. */
  hurry(): void {
    if (this.#state.status !== 'delayed') return;
    clearTimeout(this.#timer);
    this.#dispatch({ type: 'due' });
  }

  /** Ends what is running. The bucket keeps what it has. */
  async stop(): Promise<void> {
    this.#dispatch({ type: 'cancel' });
    await this.#running;
  }

  #dispatch(event: UploadEvent): void {
    const { state, effects } = nextUploadState(this.#state, event);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: UploadEffect): void {
    switch (effect.type) {
      case 'run':
        this.#pending = effect.step;
        this.#start();
        return;
      case 'delay':
        this.#timer = setTimeout(
          () => this.#dispatch({ type: 'due' }),
          this.#environment.delayMs(effect.failures),
        ).unref();
        return;
      case 'stop':
        clearTimeout(this.#timer);
        this.#stopped.abort(new BucketError('other', 'The upload was stopped.'));
    }
  }

  /** One slot for as long as there is something to do. */
  #start(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    inBackground(
      this.#environment.slots
        .run(() => (this.#running = this.#steps()))
        .finally(() => {
          this.#isScheduled = false;
          if (this.#pending) this.#start();
        }),
    );
  }

  async #steps(): Promise<void> {
    for (let step; (step = this.#pending);) {
      this.#pending = undefined;
      // Stopped while it waited for its slot.
      if (this.#stopped.signal.aborted) return;
      try {
        const result = await this.#run(step);
        if (this.#stopped.signal.aborted) return;
        this.#note(result);
        const { failures } = this.#state;
        this.#dispatch({ type: 'succeeded', result });
        if (failures > 0 && this.#state.failures === 0) this.#environment.onRecovered();
        if (this.#state.status === 'stored') this.#environment.onDone(this.id);
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        this.#failed(error as NodeJS.ErrnoException);
      }
    }
  }

  async #run(step: UploadStep): Promise<UploadResult> {
    const { recordings, bucket, beforeRelease } = this.#environment;
    const recording = recordings.get(this.id);
    switch (step.type) {
      case 'begin': {
        const type = CONTENT_TYPES[recording.format];
        const uploadId = await this.#within(this.#environment.stallMs, (signal) =>
          bucket.begin(this.#object, type, signal),
        );
        this.#store({ uploadId, partBytes: step.partBytes, uploadedBytes: 0 });
        return { type: 'begin', uploadId, partBytes: step.partBytes };
      }
      case 'check':
        return { type: 'check', parts: await this.#check(step.uploadId, recordings.pathOf(recording)) };
      case 'part':
        return { type: 'part', part: await this.#put(step.uploadId, step.range, recordings.pathOf(recording)) };
      case 'restart':
        await this.#within(this.#environment.stallMs, (signal) => bucket.abort(this.#object, step.uploadId, signal));
        return { type: 'restart' };
      case 'complete': {
        const { uploadId, parts } = step;
        return {
          type: 'complete',
          etag: await this.#within(COMPLETE_MS, (signal) => bucket.complete(this.#object, uploadId, parts, signal)),
        };
      }
      case 'confirm':
        await this.#confirm();
        return { type: 'confirm' };
      case 'release':
        await beforeRelease(recording);
        await recordings.removeFile(recording);
        return { type: 'release' };
    }
  }

  /** The parts that the bucket and the list in the store agree about, and that have the bytes of the file. */
  async #check(uploadId: string, path: string): Promise<UploadedPart[]> {
    const listed = await this.#within(this.#environment.stallMs, (signal) =>
      this.#environment.bucket.listParts(this.#object, uploadId, signal),
    );
    const { parts, partBytes } = this.#state.facts;
    const good: UploadedPart[] = [];
    for (const { number, bytes, etag } of listed) {
      const known = parts.get(number);
      if (known?.etag !== etag || known.bytes !== bytes) continue;
      const range = { number, from: (number - 1) * partBytes, bytes };
      if ((await md5OfRange(path, range, this.#stopped.signal)) === known.md5) good.push(known);
    }
    this.#logger.info({ parts: good.length, listed: listed.length }, 'interrupted upload continues');
    return good;
  }

  async #put(uploadId: string, range: PartRange, path: string): Promise<UploadedPart> {
    const { bucket, throttle, parts, onUploaded } = this.#environment;
    const md5 = await md5OfRange(path, range, this.#stopped.signal);
    if (md5 === undefined) throw new BucketError('other', 'The file is shorter than it was.');
    const { number, bytes } = range;
    const etag = await this.#within(this.#environment.stallMs, async (signal, alive) => {
      const broken = new AbortController();
      const either = AbortSignal.any([signal, broken.signal]);
      const stream = streamOfRange(path, range, async (length) => {
        await throttle.wait(length, either);
        alive();
      });
      // The SDK does not look at errors of the stream.
      stream.on('error', (error) => broken.abort(error));
      try {
        return await bucket.putPart(this.#object, uploadId, { number, bytes, md5, stream }, either);
      } catch (error) {
        throw broken.signal.aborted && !signal.aborted ? broken.signal.reason : error;
      } finally {
        stream.destroy();
      }
    });
    const part = { number, bytes, etag, md5 };
    await parts.put(this.id, part);
    onUploaded(bytes);
    return part;
  }

  async #confirm(): Promise<void> {
    const { bucket } = this.#environment;
    const { bytes, etag, parts } = this.#state.facts;
    const found = await this.#within(this.#environment.stallMs, (signal) => bucket.head(this.#object, signal));
    const inOrder = [...parts.values()].sort((a, b) => a.number - b.number);
    if (found.bytes !== bytes || ![etag, multipartEtag(inOrder)].includes(found.etag))
      throw new BucketError('differs', 'The object in the bucket is not the one that was uploaded.');
  }

  /** Keeps what a restart needs to know, and what clients see. */
  #note(result: UploadResult): void {
    if (result.type === 'part' || result.type === 'check') {
      const { parts } = this.#state.facts;
      const added = result.type === 'part' ? [...parts.values(), result.part] : result.parts;
      const uploadedBytes = added.reduce((sum, { bytes }) => sum + bytes, 0);
      this.#store({ state: 'uploading', uploadedBytes, reasonCode: undefined, reason: undefined });
    } else if (result.type === 'restart') this.#store({ uploadId: undefined, uploadedBytes: 0 });
    else if (result.type === 'complete') this.#store({ etag: result.etag });
    else if (result.type === 'release') this.#store({ local: false });
    else if (result.type === 'confirm') {
      const { bytes } = this.#state.facts;
      this.#store({
        ...{ state: 'stored', uploadedBytes: bytes, storedAt: wallClockDate().toISOString(), uploadId: undefined },
        ...{ reasonCode: undefined, reason: undefined },
      });
      this.#logger.info({ bytes }, 'recording stored in the bucket');
      inBackground(this.#environment.parts.delete(this.id));
    }
  }

  #failed(error: NodeJS.ErrnoException): void {
    const failure: UploadFailure = error instanceof BucketError && error.failure !== 'range' ? error.failure : 'other';
    const reason =
      error instanceof BucketError ? error.message : `The file cannot be read (${error.code ?? error.name}).`;
    const storage = this.#environment.recordings.find(this.id)?.storage;
    const failures = this.#state.failures + 1;
    // Once for each outage; the metrics count all attempts.
    if (storage?.state !== 'retrying')
      this.#logger.warn({ reason }, 'uploading a recording failed, and is tried again');
    else this.#logger.debug({ reason, failures }, 'uploading a recording failed again');
    if (error instanceof BucketError) this.#environment.onFailure();
    if (storage?.state === 'stored') this.#logger.warn({ reason }, 'the file of a stored recording cannot be deleted');
    else this.#store({ state: 'retrying', reasonCode: 'STORAGE_UNAVAILABLE', reason });
    this.#dispatch({ type: 'failed', failure });
    const { uploadId, etag } = this.#state.facts;
    this.#store({ uploadId, etag });
  }

  #store(changes: Partial<RecordingStorage>): void {
    const { recordings } = this.#environment;
    const storage = recordings.find(this.id)?.storage;
    if (storage) recordings.update(this.id, { storage: { ...storage, ...changes } });
  }

  /** Ends a request without progress. @param work calls `alive` at each progress */
  async #within<T>(ms: number, work: (signal: AbortSignal, alive: () => void) => Promise<T>): Promise<T> {
    const stalled = new AbortController();
    const timer = setTimeout(
      () => stalled.abort(new BucketError('other', `The bucket did not answer within ${ms / 1000} s.`)),
      ms,
    );
    const signal = AbortSignal.any([this.#stopped.signal, stalled.signal]);
    try {
      return await work(signal, () => timer.refresh());
    } finally {
      clearTimeout(timer);
    }
  }
}
