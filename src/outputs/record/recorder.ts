import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { fourccOf } from '../../media/containers/enhanced-tag.ts';
import { TAG_SCRIPT, TAG_VIDEO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { hasSameSize, isSameTrack } from '../../media/containers/flv-track.ts';
import type { TagGroup } from '../../media/containers/tag-group.ts';
import type { Logger } from '../../observe/logger.ts';
import { AAC_FORMAT } from '../../renditions/audio-format.ts';
import type { RenditionLease } from '../../renditions/encoder-pool.ts';
import { isSameFormat } from '../../renditions/foreign-video.ts';
import type { LateGroups } from '../late-groups.ts';
import { OutputFeed } from '../output-feed.ts';
import type { OutputQueueRules } from '../output-queue.ts';
import type { Output, OutputCounters, OutputEvents, TagSink } from '../output.ts';
import { createContainer, type Container, type RecordFormat } from './container.ts';
import { OpenRecording } from './open-recording.ts';
import { diskError, type OpenFile } from './record-file.ts';
import { nextRecorderState, type RecorderEvent, type RecorderState } from './recorder-state.ts';
import { baseName, fileName } from './recording-name.ts';
import type { Recordings } from './recordings.ts';
import { copyOf, videoCodecOf } from './video-header.ts';
import type { FinishedFile } from './finish-file.ts';
import { SingleFlight } from '../../runtime/async.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { wallClockDate } from '../../runtime/wall-clock.ts';

/** What a slow disk does not take at once waits here, up to the limits of the queue. */
const QUEUE: OutputQueueRules = { enabled: false, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true };

/** What all recorders of a gateway share. */
export interface RecorderEnvironment {
  readonly recordings: Recordings;
  readonly lateGroups: LateGroups;
  readonly format: RecordFormat;
  readonly template: string;
  /** Of one file; 0: no limit. */
  readonly maxFileBytes: number;
  readonly maxFileMs: number;
  /** Renditions outlive their streams (`record_standby`). The profile of their video changes within a file. */
  readonly standby: boolean;
  readonly openFile: OpenFile;
  /** Gives a closed file its index; see `finish-file.ts`. */
  readonly finish: (path: string, format: RecordFormat) => Promise<FinishedFile | undefined>;
  readonly logger: Logger;
}

/** An output that writes one rendition of a stream to files: one, or more when the format changes or a file is large. */
export class Recorder extends EventEmitter<OutputEvents> implements Output, TagSink {
  readonly id = randomUUID();
  readonly streamName: string;
  readonly #environment: RecorderEnvironment;
  readonly #lease: RenditionLease;
  readonly #logger: Logger;
  readonly #base: string;
  readonly #onFailed = (error: GatewayError): void => {
    // The only end of a rendition in standby that is expected.
    if (this.outlivesStream && error.code === 'PUBLISHER_LOST') this.#dispatch({ type: 'stop', reason: notReturned() });
    else this.#dispatch({ type: 'failed', error });
  };
  readonly #closed = Promise.withResolvers<void>();
  #state: RecorderState = { status: 'waiting' };
  #feed: OutputFeed | undefined;
  #open: OpenRecording | undefined;
  #part = 0;
  #firstId: string | undefined;
  #firstFile: string | undefined;
  /** The media with which the file begins that is opened next. */
  #next: FlvTag | undefined;
  #videoHeader: FlvTag | undefined;
  #audioHeader: FlvTag | undefined;
  readonly #finishing = new SingleFlight<string, void>();
  #pastBytes = 0;
  #pastDropped = 0;

  private constructor(streamName: string, lease: RenditionLease, environment: RecorderEnvironment) {
    super();
    this.streamName = streamName;
    this.#lease = lease;
    this.#environment = environment;
    this.#base = baseName(environment.template, { stream: streamName, startedAt: wallClockDate(), id: this.id });
    this.#logger = environment.logger.child({ recorder: this.id, stream: streamName });
  }

  /** Begins to record. Never fails: what goes wrong from here on is the recorder's state. */
  static start(streamName: string, lease: RenditionLease, environment: RecorderEnvironment): Recorder {
    const recorder = new Recorder(streamName, lease, environment);
    lease.rendition.on('failed', recorder.#onFailed);
    // In a later tick, so that the caller can listen to the recorder first.
    setImmediate(() => recorder.#listen());
    return recorder;
  }

  get status(): RecorderState['status'] {
    return this.#state.status;
  }

  get failure(): GatewayError | undefined {
    return this.#state.status === 'ended' ? this.#state.reason : undefined;
  }

  /** Whether an error has ended it. */
  get failed(): boolean {
    return this.#state.status === 'ended' && this.#state.failed;
  }

  /** The first file, as soon as there is one. */
  get firstFile(): string | undefined {
    return this.#firstFile;
  }

  get outlivesStream(): boolean {
    return this.#environment.standby;
  }

  get counters(): OutputCounters {
    return {
      bytesSent: this.#pastBytes + (this.#open?.bytes ?? 0),
      framesDropped: this.#pastDropped + (this.#feed?.framesDropped ?? 0),
    };
  }

  stop(reason: GatewayError): Promise<void> {
    this.#dispatch({ type: 'stop', reason });
    return this.#closed.promise;
  }

  /** The disk does not allow more: ends the file properly. */
  fail(error: GatewayError): void {
    this.#dispatch({ type: 'failed', error });
  }

  get writable(): boolean {
    return this.#open?.writable ?? true;
  }

  write({ tags }: TagGroup): void {
    for (const tag of tags) {
      if (this.#state.status === 'ended') return;
      this.#take(tag);
    }
  }

  #take(tag: FlvTag): void {
    if (tag.type === TAG_SCRIPT) return;
    if (tag.sequenceHeader) return this.#takeHeader(tag);
    const open = this.#open;
    const begins = this.#canBegin(tag);
    if (open && begins && (open.isFull(tag, this.#environment) || (tag.type === TAG_VIDEO && !open.hasVideo)))
      this.#dispatch({ type: 'split' });
    if (!this.#open && !begins) return;
    this.#next = tag;
    this.#dispatch({ type: 'media' });
    this.#open?.push(tag);
  }

  #takeHeader(tag: FlvTag): void {
    if (tag.type !== TAG_VIDEO) return void (this.#audioHeader = copyOf(tag));
    // Repeated headers are the same.
    if (isSameFormat(tag, this.#videoHeader)) return;
    const before = this.#videoHeader;
    this.#videoHeader = copyOf(tag);
    const goesOn = this.#environment.standby ? hasSameSize : isSameTrack;
    if (this.#open?.hasVideo && before && goesOn(before, tag)) this.#open.changeParameters(this.#videoHeader);
    else this.#dispatch({ type: 'split' });
  }

  /** Files begin with a key frame; without video, with any frame. */
  #canBegin(tag: FlvTag): boolean {
    return this.#hasVideo ? tag.type === TAG_VIDEO && tag.keyFrame : tag.type !== TAG_VIDEO;
  }

  /** A publisher may return without video, and return again with it. */
  get #hasVideo(): boolean {
    return this.#videoHeader !== undefined && this.#lease.rendition.hasVideo;
  }

  #dispatch(event: RecorderEvent): void {
    const before = this.#state;
    const { state, effects } = nextRecorderState(before, event);
    this.#state = state;
    for (const effect of effects) {
      if (effect === 'open') this.#openFile();
      else if (effect === 'close') this.#closeFile();
      else inBackground(this.#finish());
    }
    if (state.status !== before.status) this.emit('change');
  }

  #openFile(): void {
    const { recordings, format, openFile, standby } = this.#environment;
    const { metadata } = this.#lease.rendition;
    const hasVideo = this.#hasVideo;
    let container: Container;
    try {
      container = createContainer(
        format,
        { video: hasVideo ? this.#videoHeader : undefined, audio: this.#audioHeader },
        metadata,
        standby,
      );
    } catch (error) {
      // After the transition that has led here.
      setImmediate(() => this.#dispatch({ type: 'failed', error: toGatewayError(error, 'ENCODER_FAILED') }));
      return;
    }
    const id = this.#part === 0 ? this.id : randomUUID();
    const file = fileName(this.#base, ++this.#part, format);
    const open: OpenRecording = new OpenRecording({
      ...{ id, path: recordings.pathOf({ file }), container, hasVideo, openFile },
      changesProfile: standby,
      baseMs: this.#next!.timestamp,
      onWritable: () => this.#feed?.pump(),
      onFailed: (error) => {
        if (this.#open === open) this.#dispatch({ type: 'failed', error });
      },
      onProgress: () => {
        const { bytes, durationMs } = open;
        recordings.progress(id, { bytes, durationMs, framesDropped: this.#feed?.framesDropped ?? 0 });
      },
    });
    open.begin(this.#videoHeader);
    this.#open = open;
    this.#firstId ??= id;
    this.#firstFile ??= file;
    recordings.put({
      id,
      series: this.#firstId,
      part: this.#part,
      stream: this.streamName,
      file,
      format,
      state: 'recording',
      startedAt: wallClockDate().toISOString(),
      durationMs: 0,
      bytes: 0,
      framesDropped: 0,
      ...(hasVideo && { videoCodec: videoCodecOf(this.#videoHeader!) }),
      ...(this.#audioHeader && { audioCodec: fourccOf(this.#audioHeader) === 'Opus' ? 'opus' : 'aac' }),
      width: (hasVideo && metadata.width) || 0,
      height: (hasVideo && metadata.height) || 0,
    });
    this.#logger.info({ recording: id, file }, 'recording started');
  }

  #closeFile(): void {
    const open = this.#open;
    if (!open) return;
    open.end();
    this.#open = undefined;
    const { recordings } = this.#environment;
    const ended = this.#state.status === 'ended' ? this.#state.reason : undefined;
    recordings.update(open.id, {
      state: 'finishing',
      endedAt: wallClockDate().toISOString(),
      framesDropped: this.#feed?.framesDropped ?? 0,
      ...(ended && { reasonCode: ended.code, reason: ended.message }),
    });
    const work = this.#finishing.run(open.id, () => this.#finishFile(open, this.failed ? ended : undefined));
    recordings.finishing(open.id, work);
    inBackground(work);
  }

  async #finishFile(open: OpenRecording, endedBy: GatewayError | undefined): Promise<void> {
    const { recordings, finish, format } = this.#environment;
    await open.close();
    this.#pastBytes += open.bytes;
    let failure = open.failure ?? endedBy;
    let finished;
    try {
      finished = await finish(open.path, format);
    } catch (error) {
      failure ??= diskError(error);
    }
    const reason = failure && { reasonCode: failure.code, reason: failure.message };
    recordings.update(open.id, {
      state: failure ? 'failed' : 'complete',
      bytes: finished?.bytes ?? open.bytes,
      durationMs: finished?.durationMs ?? open.durationMs,
      ...reason,
    });
    const fields = { recording: open.id, ...finished, ...reason };
    if (failure) this.#logger.warn(fields, 'recording failed');
    else this.#logger.info(fields, 'recording completed');
  }

  #listen(): void {
    if (this.#state.status === 'ended') return;
    this.#feed = OutputFeed.start({
      rendition: this.#lease.rendition,
      sink: this,
      lateGroups: this.#environment.lateGroups,
      queue: QUEUE,
      pollingMs: 0,
      silence: AAC_FORMAT.silence,
      sendMetadata: false,
      onTracksChanged: () => this.#renew(),
    });
  }

  /** The video follows after audio alone: the next file has both. */
  #renew(): void {
    this.#dispatch({ type: 'split' });
    this.#leaveFeed();
    this.#listen();
  }

  #leaveFeed(): void {
    this.#pastDropped = this.counters.framesDropped;
    this.#feed?.close();
    this.#feed = undefined;
  }

  async #finish(): Promise<void> {
    this.#lease.rendition.off('failed', this.#onFailed);
    this.#leaveFeed();
    // Without a file there is nothing that could tell the reason.
    if (this.failed && !this.#firstFile)
      this.#logger.warn({ code: this.failure?.code, reason: this.failure?.message }, 'recording failed');
    await this.#finishing.settled();
    await this.#lease
      .release()
      .catch((error: unknown) => this.#logger.error({ err: error }, 'releasing a rendition failed'));
    this.#closed.resolve();
    this.emit('closed');
  }
}

const notReturned = (): GatewayError =>
  new GatewayError('PUBLISHER_LOST', 'The publisher was lost and did not return within standby_hold_ms.');
