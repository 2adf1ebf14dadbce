import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { TagGroup } from '../../media/containers/tag-group.ts';
import { videoConfigOf } from '../../media/containers/flv-track.ts';
import type { Logger } from '../../observe/logger.ts';
import { AAC_FORMAT } from '../../renditions/audio-format.ts';
import type { RenditionLease } from '../../renditions/encoder-pool.ts';
import type { LateGroups } from '../late-groups.ts';
import { OutputFeed } from '../output-feed.ts';
import type { Output, OutputCounters, OutputEvents, TagSink } from '../output.ts';
import { DvrFolder, type DvrOptions } from './dvr-folder.ts';
import type { RenditionReport, Variant } from './playlist.ts';
import { SegmentList, type Ended, type Found } from './segment-list.ts';
import { Segmenter, type RunFormat, type SegmentRules } from './segmenter.ts';
import type { Timeline } from './timeline.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { wallClockMs } from '../../runtime/wall-clock.ts';

/** Longest parts and usual segments, in milliseconds; complete segments in a playlist. */
export const PART_MS = 333;
const RULES: SegmentRules = { partMs: PART_MS, minSegmentMs: 1500, requestMs: 1800, maxSegmentMs: 3400 };
const LIST_RULES = { window: 6, targetDurationS: 3, partTargetMs: PART_MS } as const;
/** A request for what does not exist yet is answered at the latest after three target durations (RFC 8216bis, 6.2.5.2). */
const MAX_WAIT_MS = LIST_RULES.targetDurationS * 3 * 1000;
/** Bits per second above the measured peak, and the least that is announced: the first segments may be small. */
const BANDWIDTH_MARGIN = 1.3;
const MIN_BANDWIDTH = 1_000_000;
/** Bits per second of what an encoder makes at 1 kbit/s, with the audio and the boxes around it. */
const ENCODED_MARGIN = 1100;

const QUEUE = { enabled: false, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true } as const;

export interface PackagerEnvironment {
  readonly lateGroups: LateGroups;
  readonly logger: Logger;
  /** Milliseconds of media in the playlist beyond the usual window, and where they are kept; unset: none. */
  readonly dvr?: DvrOptions & { readonly dvrMs: number };
}

/** What a rendition is among those of its stream. */
export interface PackagerRole {
  readonly timeline: Timeline;
  /** Key frames are requested for this one; the others have theirs at the same times. */
  readonly leads: boolean;
  /** Kilobits per second of its encoder; unset: it is passed through. */
  readonly kbps?: number;
  /** Runs of the stream that were over before this rendition was packaged. */
  readonly pastRuns: number;
  /** A run has begun. `run` counts the runs of the stream from 1; `startMs` is its time on the timeline. */
  readonly onRun: (run: number, startMs: number) => void;
}

/** An output that packages one rendition of a stream as HLS, in memory, for any number of viewers. */
export class Packager extends EventEmitter<OutputEvents> implements Output, TagSink {
  readonly id = randomUUID();
  readonly streamName: string;
  readonly writable = true;
  readonly #lease: RenditionLease;
  readonly #environment: PackagerEnvironment;
  readonly #role: PackagerRole;
  readonly #segments: SegmentList;
  readonly #dvr: DvrFolder | undefined;
  readonly #segmenter: Segmenter;
  readonly #waiting = new Set<() => void>();
  readonly #onFailed = (error: GatewayError): void => this.#end(error);
  readonly #onFormat = (): void => {
    if (this.#feed && this.#lease.rendition.hasVideo !== this.#hadVideo) this.#renew();
  };
  #format: RunFormat | undefined;
  #runs: number;
  #begunRuns: number;
  #feed: OutputFeed | undefined;
  #hadVideo = false;
  #pastDropped = 0;
  #bytes = 0;
  #ended: GatewayError | undefined;
  #closed: Promise<void> | undefined;

  private constructor(streamName: string, lease: RenditionLease, environment: PackagerEnvironment, role: PackagerRole) {
    super();
    this.streamName = streamName;
    this.#lease = lease;
    this.#environment = environment;
    this.#role = role;
    this.#runs = this.#begunRuns = role.pastRuns;
    const { dvr } = environment;
    this.#dvr = dvr && new DvrFolder(this.id, dvr);
    this.#segments = new SegmentList({ ...LIST_RULES, dvrMs: dvr?.dvrMs ?? 0 }, role.pastRuns);
    this.#segmenter = new Segmenter(RULES, {
      run: (format) => {
        this.#format = format;
        this.#runs++;
        this.#segments.run(format.init);
      },
      renew: (format) => {
        this.#format = format;
        this.#segments.renew(format.init);
      },
      begin: (startMs) => {
        this.#segments.begin(role.timeline.dateOf(startMs, wallClockMs()));
        if (this.#begunRuns === this.#runs) return;
        this.#begunRuns = this.#runs;
        role.onRun(this.#runs, startMs);
      },
      part: (part) => {
        this.#bytes += part.bytes.length;
        this.#segments.add(part);
      },
      end: () => this.#keep(this.#segments.end()),
      needKeyFrame: () => role.leads && lease.rendition.requestKeyFrame(),
    });
  }

  /** Packages nothing before {@link start}. */
  static create(
    streamName: string,
    lease: RenditionLease,
    environment: PackagerEnvironment,
    role: PackagerRole,
  ): Packager {
    return new Packager(streamName, lease, environment, role);
  }

  start(): void {
    const { rendition } = this.#lease;
    rendition.on('failed', this.#onFailed);
    rendition.on('format', this.#onFormat);
    this.#listen();
  }

  /** Height of the frames of the current run, in pixels; `undefined` without video. */
  get frameHeight(): number | undefined {
    return this.#format?.video && videoConfigOf(this.#format.video).height;
  }

  get status(): 'packaging' | 'ended' {
    return this.#ended ? 'ended' : 'packaging';
  }

  get failure(): GatewayError | undefined {
    return this.#ended;
  }

  get counters(): OutputCounters {
    return { bytesSent: this.#bytes, framesDropped: this.#pastDropped + (this.#feed?.framesDropped ?? 0) };
  }

  /** The last part; `undefined` before there is one. */
  get lastPart(): { readonly msn: number; readonly part: number } | undefined {
    return this.#segments.lastPart;
  }

  /** Bytes of media in memory. */
  get bytesHeld(): number {
    return this.#segments.bytes;
  }

  write({ tags }: TagGroup): void {
    try {
      for (const tag of tags) this.#segmenter.take(tag, this.#lease.rendition.hasVideo);
    } catch (error) {
      // A sequence header that cannot be packaged.
      this.#end(toGatewayError(error, 'ENCODER_FAILED'));
    }
    this.#wake();
  }

  stop(reason: GatewayError): Promise<void> {
    this.#end(reason);
    return this.#closed!;
  }

  /** Another rendition of the stream has begun a run at this time on the timeline: this one does so too. */
  breakAt(run: number, startMs: number): void {
    if (this.#runs < run) this.#segmenter.breakAt(startMs);
  }

  /** Deletes what is on the disk, after the end. Idempotent. */
  async dispose(): Promise<void> {
    await this.#dvr?.close();
  }

  /**
   * What the first playlist says about this rendition, when a player can begin.
   *
   * @throws {GatewayError} STREAM_NOT_READY, or the reason of the end
   */
  async variant(): Promise<Omit<Variant, 'uri'>> {
    await this.#until(() => this.#segments.playable || this.#segments.ended);
    const format = this.#format;
    if (!format || !this.#segments.playable) throw this.#ended ?? notReady();
    const codecs: string[] = [];
    let size: { width?: number; height?: number } = {};
    if (format.video) {
      const { width, height, config } = videoConfigOf(format.video);
      codecs.push(`${format.inBand ? 'avc3' : 'avc1'}.${config.subarray(1, 4).toString('hex')}`);
      size = { width, height };
    }
    // The encoder makes AAC-LC.
    if (format.audio) codecs.push('mp4a.40.2');
    const { kbps } = this.#role;
    const least = kbps ? kbps * ENCODED_MARGIN : MIN_BANDWIDTH;
    return { bandwidth: Math.max(this.#segments.peakBitrate * BANDWIDTH_MARGIN, least), codecs, ...size };
  }

  /**
   * @param wanted the segment, or its part, that the playlist must contain
   * @param skip the player has the older segments of the playlist already
   * @param reports where the other qualities are
   * @throws {GatewayError} INVALID_REQUEST, STREAM_NOT_READY
   */
  async playlist(
    wanted?: { readonly msn: number; readonly part: number | undefined },
    skip = false,
    reports: () => readonly RenditionReport[] = () => [],
  ): Promise<string> {
    if (wanted && !this.#segments.ended && this.#segments.has(wanted.msn, wanted.part) === 'beyond')
      throw new GatewayError('INVALID_REQUEST', '_HLS_msn is more than two segments beyond the end of the playlist.');
    const contains = (): boolean =>
      wanted ? this.#segments.has(wanted.msn, wanted.part) === true : this.#segments.playable;
    await this.#until(() => this.#segments.ended || contains());
    if (!this.#segments.playable) throw this.#ended ?? notReady();
    return this.#segments.playlist(skip, reports());
  }

  /** A segment, or one of its parts, when it exists. `undefined`: it does not, and will not. */
  async media(msn: number, part: number | undefined): Promise<readonly Buffer[] | undefined> {
    const find = (): Found => (part === undefined ? this.#segments.segment(msn) : this.#segments.part(msn, part));
    await this.#until(() => find() !== 'later' || this.#segments.ended);
    const found = find();
    if (found === 'stored') {
      const bytes = await this.#dvr?.read(msn);
      return bytes && [bytes];
    }
    return found === 'later' ? undefined : found;
  }

  init(init: number): Buffer | undefined {
    return this.#segments.init(init);
  }

  /** @throws {GatewayError} STREAM_NOT_READY */
  async #until(isDone: () => boolean): Promise<void> {
    if (isDone()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = (): void => {
      if (isDone()) resolve();
    };
    const timer = setTimeout(() => reject(notReady()), MAX_WAIT_MS);
    this.#waiting.add(check);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(check);
    }
  }

  /** What viewers may rewind to goes to the disk. */
  #keep({ completed, removed }: Ended): void {
    const dvr = this.#dvr;
    if (!dvr) return;
    for (const msn of removed) dvr.delete(msn);
    if (!completed) return;
    inBackground(
      dvr.write(completed).then((isWritten) => {
        if (isWritten && !this.#segments.store(completed.msn)) dvr.delete(completed.msn);
      }),
    );
  }

  #wake(): void {
    for (const check of this.#waiting) check();
  }

  #listen(): void {
    const { rendition } = this.#lease;
    this.#hadVideo = rendition.hasVideo;
    this.#feed = OutputFeed.start({
      rendition,
      sink: this,
      lateGroups: this.#environment.lateGroups,
      queue: QUEUE,
      pollingMs: 0,
      silence: AAC_FORMAT.silence,
      sendMetadata: false,
      transform: (group, baseMs) => this.#role.timeline.place(group, baseMs),
      onTracksChanged: () => this.#renew(),
    });
  }

  /** The tracks have changed: what follows is another run. */
  #renew(): void {
    if (this.#ended) return;
    this.#segmenter.finish();
    this.#leaveFeed();
    this.#listen();
  }

  #leaveFeed(): void {
    this.#pastDropped = this.counters.framesDropped;
    this.#feed?.close();
    this.#feed = undefined;
  }

  #end(reason: GatewayError): void {
    if (this.#ended) return;
    this.#ended = reason;
    const { rendition } = this.#lease;
    rendition.off('failed', this.#onFailed);
    rendition.off('format', this.#onFormat);
    this.#leaveFeed();
    this.#segmenter.finish();
    this.#keep(this.#segments.finish());
    this.#wake();
    this.#closed = this.#release();
    this.emit('change');
  }

  async #release(): Promise<void> {
    await this.#lease
      .release()
      .catch((error: unknown) => this.#environment.logger.error({ err: error }, 'releasing a rendition failed'));
    this.emit('closed');
  }
}

const notReady = (): GatewayError =>
  new GatewayError('STREAM_NOT_READY', 'The stream sends no media at the moment. Try again in some seconds.');
