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
import { multivariantPlaylist } from './playlist.ts';
import { SegmentList, type Found } from './segment-list.ts';
import { Segmenter, type RunFormat, type SegmentRules } from './segmenter.ts';

/** Longest parts and usual segments, in milliseconds; complete segments in a playlist. */
export const PART_MS = 333;
const RULES: SegmentRules = { partMs: PART_MS, minSegmentMs: 1500, requestMs: 1800, maxSegmentMs: 3400 };
export const LIST_RULES = { window: 6, targetDurationS: 3, partTargetMs: PART_MS } as const;
/** A request for what does not exist yet is answered at the latest after three target durations (RFC 8216bis, 6.2.5.2). */
const MAX_WAIT_MS = LIST_RULES.targetDurationS * 3 * 1000;
/** Bits per second above the measured peak, and the least that is announced: the first segments may be small. */
const BANDWIDTH_MARGIN = 1.3;
const MIN_BANDWIDTH = 1_000_000;

const QUEUE = { enabled: false, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true } as const;

export interface PackagerEnvironment {
  readonly lateGroups: LateGroups;
  readonly logger: Logger;
}

/** An output that packages one rendition of a stream as HLS, in memory, for any number of viewers. */
export class Packager extends EventEmitter<OutputEvents> implements Output, TagSink {
  readonly id = randomUUID();
  readonly streamName: string;
  readonly writable = true;
  readonly #lease: RenditionLease;
  readonly #environment: PackagerEnvironment;
  readonly #segments = new SegmentList(LIST_RULES);
  readonly #segmenter: Segmenter;
  readonly #waiting = new Set<() => void>();
  readonly #onFailed = (error: GatewayError): void => this.#end(error);
  readonly #onFormat = (): void => {
    if (this.#feed && this.#lease.rendition.hasVideo !== this.#hadVideo) this.#renew();
  };
  #format: RunFormat | undefined;
  /** The clock of the feed begins here, in milliseconds since 1970. */
  #anchor: number | undefined;
  /** Where the last part ended, in milliseconds since 1970. */
  #endWallMs = 0;
  #feed: OutputFeed | undefined;
  #hadVideo = false;
  #pastDropped = 0;
  #bytes = 0;
  #ended: GatewayError | undefined;
  #closed: Promise<void> | undefined;

  private constructor(streamName: string, lease: RenditionLease, environment: PackagerEnvironment) {
    super();
    this.streamName = streamName;
    this.#lease = lease;
    this.#environment = environment;
    this.#segmenter = new Segmenter(RULES, {
      run: (format) => {
        this.#format = format;
        this.#anchor = undefined;
        this.#segments.run(format.init);
      },
      begin: (startMs) => {
        // Dates do not go back, even if a run was received late.
        this.#anchor ??= Math.max(Date.now(), this.#endWallMs) - startMs;
        this.#endWallMs = this.#anchor + startMs;
        this.#segments.begin(this.#endWallMs);
      },
      part: (part) => {
        this.#bytes += part.bytes.length;
        this.#endWallMs += part.durationMs;
        this.#segments.add(part);
      },
      end: () => this.#segments.end(),
      needKeyFrame: () => lease.rendition.requestKeyFrame(),
    });
  }

  static start(streamName: string, lease: RenditionLease, environment: PackagerEnvironment): Packager {
    const packager = new Packager(streamName, lease, environment);
    lease.rendition.on('failed', packager.#onFailed);
    lease.rendition.on('format', packager.#onFormat);
    packager.#listen();
    return packager;
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

  /**
   * The playlist that names this rendition at `uri`, when a player can begin.
   *
   * @throws {GatewayError} STREAM_NOT_READY, or the reason of the end
   */
  async multivariant(uri: string): Promise<string> {
    await this.#until(() => this.#segments.playable || this.#segments.ended);
    const format = this.#format;
    if (!format || !this.#segments.playable) throw this.#ended ?? notReady();
    const codecs: string[] = [];
    let size: { width?: number; height?: number } = {};
    if (format.video) {
      const { width, height, config } = videoConfigOf(format.video);
      codecs.push(`avc1.${config.subarray(1, 4).toString('hex')}`);
      size = { width, height };
    }
    // The encoder makes AAC-LC.
    if (format.audio) codecs.push('mp4a.40.2');
    const bandwidth = Math.max(this.#segments.peakBitrate * BANDWIDTH_MARGIN, MIN_BANDWIDTH);
    return multivariantPlaylist([{ uri, bandwidth, codecs, ...size }]);
  }

  /**
   * @param wanted the segment, or its part, that the playlist must contain
   * @throws {GatewayError} INVALID_REQUEST, STREAM_NOT_READY
   */
  async playlist(wanted?: { readonly msn: number; readonly part: number | undefined }): Promise<string> {
    if (wanted && !this.#segments.ended && this.#segments.has(wanted.msn, wanted.part) === 'beyond')
      throw new GatewayError('INVALID_REQUEST', '_HLS_msn is more than two segments beyond the end of the playlist.');
    const contains = (): boolean =>
      wanted ? this.#segments.has(wanted.msn, wanted.part) === true : this.#segments.playable;
    await this.#until(() => this.#segments.ended || contains());
    if (!this.#segments.playable) throw this.#ended ?? notReady();
    return this.#segments.playlist();
  }

  /** A segment, or one of its parts, when it exists. `undefined`: it does not, and will not. */
  async media(msn: number, part: number | undefined): Promise<readonly Buffer[] | undefined> {
    const find = (): Found => (part === undefined ? this.#segments.segment(msn) : this.#segments.part(msn, part));
    await this.#until(() => find() !== 'later' || this.#segments.ended);
    const found = find();
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
    this.#segments.finish();
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
