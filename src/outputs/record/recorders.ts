import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { EncodeProfile } from '../../renditions/encode-profile.ts';
import type { EncoderPool, RenditionLease } from '../../renditions/encoder-pool.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { OutputSet } from '../output-set.ts';
import { diskFull } from './disk-full.ts';
import { DiskWaits } from './disk-waits.ts';
import { diskError } from './record-file.ts';
import { Recorder, type RecorderEnvironment } from './recorder.ts';
import type { Posters } from './posters.ts';
import type { Uploads } from './upload/uploads.ts';
import type { Recording, Recordings } from './recordings.ts';
import { expiredRecordings, type RetentionRules } from './retention.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { wallClockMs } from '../../runtime/wall-clock.ts';
import { sharedRun, SingleFlight } from '../../runtime/async.ts';

export interface RecordersOptions {
  /** `recording` */
  readonly enabled: boolean;
  /** `record_all` */
  readonly all: boolean;
  readonly registry: StreamRegistry;
  readonly encoders: EncoderPool;
  /** With `record_standby`: a rendition that goes on while the publisher is away. */
  readonly continuous?: (streamName: string, profile: EncodeProfile) => Promise<RenditionLease>;
  readonly environment: RecorderEnvironment;
  readonly recordings: Recordings;
  readonly posters: Posters;
  readonly uploads: Uploads;
  readonly retention: RetentionRules;
  readonly maxRecorders: number;
  /** `record_audio` */
  readonly audio: 'aac' | 'opus';
  /** With less free space nothing is recorded. */
  readonly minFreeBytes: number;
  /** Free bytes on the disk of a folder. */
  readonly freeBytes: (folder: string) => Promise<number>;
  readonly logger: Logger;
}

/** Ends of a stream after which its publisher may return. */
const MAY_RETURN: ReadonlySet<string> = new Set(['PUBLISHER_LOST', 'WORKER_DIED']);

/** Milliseconds between two looks at the disk: between them a hundred streams of 5 Mbps write less than a gigabyte. */
const DISK_CHECK_MS = 10_000;

/** A running recording, as those see it who have asked for it. */
export interface RunningRecording {
  /** Its first file, as soon as there is one. */
  readonly firstFile: string | undefined;
}

/** All recorders: starts and finds them, watches the disk, and deletes old recordings. They end with their streams. */
export class Recorders {
  readonly recordings: Recordings;
  readonly posters: Posters;
  readonly uploads: Uploads;
  readonly #options: RecordersOptions;
  readonly #outputs: OutputSet<Recorder>;
  /** Streams whose recorder is being started. */
  readonly #starting = new SingleFlight<string, Recorder>();
  /** Counters of recorders that have ended. */
  readonly #past = { bytes: 0, framesDropped: 0 };
  /** With `record_all`. */
  readonly #waits = new DiskWaits();
  readonly #timer: NodeJS.Timeout | undefined;
  #recovering: Promise<void> = Promise.resolve();
  /** Ends recordings when the disk is nearly full, and deletes those that are too old. */
  readonly lookAtDisk = sharedRun(() => this.#look());
  #expiring: Promise<void> | undefined;
  #expiringFails = false;
  #closed = false;

  private constructor(options: RecordersOptions) {
    this.#options = options;
    this.recordings = options.recordings;
    this.posters = options.posters;
    this.uploads = options.uploads;
    this.#outputs = new OutputSet(options.registry, { changed: () => undefined });
    if (!options.enabled) return;
    this.#timer = setInterval(() => inBackground(this.lookAtDisk()), DISK_CHECK_MS);
    this.#timer.unref();
    if (options.all) {
      options.registry.on('started', (stream) => this.#autoStart(stream));
      options.registry.on('ended', ({ name }) => this.#waits.forget(name));
    }
    if (options.continuous)
      options.registry.on('ended', ({ name }, reason) => {
        if (!MAY_RETURN.has(reason.code)) inBackground(this.#find(name)?.stop(reason));
      });
  }

  /** Finishes in the background what a gateway that was killed has left. */
  static create(options: RecordersOptions): Recorders {
    const recorders = new Recorders(options);
    recorders.#recovering = recorders.#recover();
    inBackground(recorders.#recovering.then(() => recorders.lookAtDisk()));
    return recorders;
  }

  get running(): number {
    return this.#outputs.list().length;
  }

  get bytesWritten(): number {
    return this.#outputs.list().reduce((sum, { counters }) => sum + counters.bytesSent, this.#past.bytes);
  }

  get framesDropped(): number {
    return this.#outputs.list().reduce((sum, { counters }) => sum + counters.framesDropped, this.#past.framesDropped);
  }

  isRecording(streamName: string): boolean {
    return this.#find(streamName) !== undefined;
  }

  /**
   * Checks whether recordings may be made now.
   *
   * @throws {GatewayError} RECORDING_DISABLED, SHUTTING_DOWN, LIMIT_REACHED, DISK_FULL, DISK_FAILED
   */
  async check(): Promise<void> {
    this.#checkEnabled();
    await this.#checkDisk();
  }

  /**
   * Records a live stream until it ends or {@link stop} is called.
   *
   * @throws {GatewayError} as {@link check}; STREAM_NOT_FOUND, RECORDING_EXISTS; what encoders throw
   */
  async start(streamName: string): Promise<RunningRecording> {
    if (this.#find(streamName) || this.#starting.get(streamName))
      throw new GatewayError('RECORDING_EXISTS', `Stream ${streamName} is already being recorded.`);
    this.#checkEnabled();
    return this.#starting.run(streamName, () => this.#start(streamName));
  }

  /** As {@link start}; a stream that is being recorded goes on. */
  async ensure(streamName: string): Promise<RunningRecording> {
    return this.#find(streamName) ?? (await (this.#starting.get(streamName) ?? this.start(streamName)));
  }

  /**
   * Ends the recording of a stream. Resolves when its files are finished.
   *
   * @throws {GatewayError} RECORDING_NOT_FOUND
   */
  async stop(streamName: string, reason: GatewayError): Promise<void> {
    this.#waits.forget(streamName);
    const recorder = this.#find(streamName) ?? (await this.#starting.get(streamName)?.catch(() => undefined));
    if (!recorder || recorder.status === 'ended')
      throw new GatewayError('RECORDING_NOT_FOUND', `Stream ${streamName} is not being recorded.`);
    await recorder.stop(reason);
  }

  /** Ends all recordings and waits until their files are finished. Idempotent. */
  async close(reason: GatewayError): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#starting.settled();
    await this.#outputs.close(reason);
    await this.#recovering;
    await this.lookAtDisk.running;
    await this.uploads.close();
    await this.#expiring;
    await this.posters.close();
    await this.recordings.close();
  }

  async #start(streamName: string): Promise<Recorder> {
    const { encoders, continuous, environment, registry } = this.#options;
    const stream = registry.find(streamName);
    if (!stream?.publisher)
      throw new GatewayError(
        'STREAM_NOT_FOUND',
        `Stream not found: ${JSON.stringify(streamName)} is not published. Publish it first, then record it.`,
      );
    try {
      await this.#checkDisk();
      const profile = this.#profile(stream);
      const lease = await (continuous ? continuous(streamName, profile) : encoders.acquire(stream, profile));
      if (this.#closed || stream.endedBy) {
        await lease.release();
        throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
      }
      const recorder = Recorder.start(streamName, lease, environment);
      recorder.once('closed', () => {
        this.#past.bytes += recorder.counters.bytesSent;
        this.#past.framesDropped += recorder.counters.framesDropped;
        if (recorder.failure) this.#waitForDisk(stream, recorder.failure);
      });
      this.#outputs.add(recorder);
      return recorder;
    } catch (error) {
      // When the stream has ended meanwhile, that is the reason, whatever error it caused here.
      throw stream.endedBy ?? error;
    }
  }

  /** FLV has H.264 alone for old readers, and so has standby; everything else takes what the publisher sends. */
  #profile({ publisher }: LiveStream): EncodeProfile {
    const { audio, continuous, environment } = this.#options;
    // Without audio there is silence in either codec.
    const isOpus = audio === 'opus' && (publisher?.audio?.codec ?? 'opus') === 'opus';
    return {
      audioCodec: isOpus ? 'opus' : 'aac',
      ...(environment.format === 'mp4' && !continuous && { original: true }),
    };
  }

  #find(streamName: string): Recorder | undefined {
    return this.#outputs.list().find((recorder) => recorder.streamName === streamName);
  }

  #checkEnabled(): void {
    const { enabled, maxRecorders } = this.#options;
    if (!enabled)
      throw new GatewayError(
        'RECORDING_DISABLED',
        'Recording is off. Publish without "record", or let the operator set recording=true.',
      );
    if (this.#closed) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
    if (this.running + this.#starting.size >= maxRecorders)
      throw new GatewayError(
        'LIMIT_REACHED',
        `The gateway already records ${maxRecorders} streams (max_recordings). Stop one first.`,
      );
  }

  async #checkDisk(): Promise<void> {
    const { freeBytes, minFreeBytes } = this.#options;
    let free;
    try {
      free = await freeBytes(this.recordings.folder);
    } catch (error) {
      throw diskError(error);
    }
    if (free < minFreeBytes) throw diskFull();
  }

  async #look(): Promise<void> {
    const { retention, minFreeBytes, freeBytes, logger } = this.#options;
    try {
      const { deleted, released } = expiredRecordings(this.recordings.all(), retention, wallClockMs());
      for (const recording of deleted) if (!recording.storage) await this.#deleteExpired(recording);
      // The bucket may be slow.
      this.#expiring ??= this.#expire(
        deleted.filter(({ storage }) => storage),
        released,
      ).finally(() => (this.#expiring = undefined));
      const waiting = this.#waits
        .due(performance.now())
        .flatMap((name) => this.#options.registry.find(name) ?? [])
        .filter(({ publisher }) => publisher);
      if (this.running === 0 && waiting.length === 0) return;
      if ((await freeBytes(this.recordings.folder)) >= minFreeBytes)
        for (const stream of waiting) {
          this.#waits.tried(stream.name);
          this.#autoStart(stream);
        }
      else for (const recorder of this.#outputs.list()) recorder.fail(diskFull());
    } catch (error) {
      logger.warn({ err: error }, 'the folder of recordings could not be checked');
    }
  }

  async #deleteExpired({ id, file }: Recording): Promise<void> {
    await this.recordings.delete(id);
    this.#options.logger.info({ recording: id, file }, 'recording deleted: record_keep_days or record_max_total_mb');
  }

  /** Recordings that are in a bucket. */
  async #expire(deleted: readonly Recording[], released: readonly Recording[]): Promise<void> {
    const { logger } = this.#options;
    try {
      for (const recording of released) {
        await this.uploads.release(recording);
        logger.info(
          { recording: recording.id, file: recording.file },
          'file deleted, because the bucket has it: record_max_total_mb',
        );
      }
      for (const recording of deleted) await this.#deleteExpired(recording);
      this.#expiringFails = false;
    } catch (error) {
      const { code, message } = toGatewayError(error);
      if (!this.#expiringFails) logger.warn({ code, reason: message }, 'an old recording cannot be deleted');
      this.#expiringFails = true;
    }
  }

  async #recover(): Promise<void> {
    const { environment, logger } = this.#options;
    for (const recording of this.recordings.all()) {
      if (recording.state !== 'recording' && recording.state !== 'finishing') continue;
      const { id, file, format } = recording;
      const work = environment.finish(this.recordings.pathOf(recording), format).then(
        (finished) => {
          if (!finished) throw new GatewayError('DISK_FAILED', 'The gateway was ended before it had written anything.');
          const endedAt = new Date(Date.parse(recording.startedAt) + finished.durationMs).toISOString();
          this.recordings.update(id, { endedAt, ...finished, state: 'complete' });
          logger.info({ recording: id, file, ...finished }, 'interrupted recording completed');
        },
        (error: unknown) => {
          throw diskError(error);
        },
      );
      const ended = work.catch((thrown: unknown) => {
        const { code, message } = toGatewayError(thrown);
        this.recordings.update(id, { state: 'failed', reasonCode: code, reason: message });
        logger.warn({ recording: id, file, code, reason: message }, 'interrupted recording cannot be completed');
      });
      this.recordings.finishing(id, ended);
      await ended;
    }
  }

  #autoStart(stream: LiveStream): void {
    this.ensure(stream.name).catch((error: unknown) => {
      const reason = toGatewayError(error);
      this.#options.logger.warn(
        { stream: stream.name, code: reason.code, reason: reason.message },
        'recording refused',
      );
      this.#waitForDisk(stream, reason);
    });
  }

  /** What `record_all` records goes on in another file when the disk has room again. */
  #waitForDisk(stream: LiveStream, { code }: GatewayError): void {
    if (!this.#options.all || code !== 'DISK_FULL' || stream.endedBy) return;
    this.#waits.add(stream.name, performance.now());
  }
}
