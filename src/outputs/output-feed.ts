import type { TagGroup } from '../media/containers/tag-group.ts';
import type { Rendition } from '../renditions/rendition.ts';
import { tickMs } from '../runtime/tick.ts';
import { JoinPoint } from './join-point.ts';
import type { LateGroups } from './late-groups.ts';
import { MeteredSink } from './metered-sink.ts';
import type { TagSink } from './output.ts';
import { OutputQueue, type OutputQueueRules } from './output-queue.ts';

export interface OutputFeedOptions {
  readonly rendition: Rendition;
  readonly sink: TagSink;
  readonly lateGroups: LateGroups;
  readonly queue: OutputQueueRules;
  /** Interval at which delayed output is sent, in milliseconds. Used only when `queue.enabled` is set. */
  readonly pollingMs: number;
  /** Body of one audio tag of silence. */
  readonly silence: Buffer;
  readonly sendMetadata: boolean;
  /**
   * Replaces what is sent, for example the audio. Called only for tags that go to the queue, with the stream time at
   * which their timestamps are 0. `undefined`: nothing is sent.
   */
  readonly transform?: (group: TagGroup, baseMs: number) => TagGroup | undefined;
  /**
   * The sink keeps the tracks that it began with: when video follows after audio alone, the feed calls this instead of
   * sending the video.
   */
  readonly onTracksChanged?: () => void;
}

/**
 * One continuous run of a rendition into one sink: it begins at a key frame with timestamps from 0, waits in a bounded
 * queue, and loses whole groups of frames when the sink or the gateway does not keep up. Ends with {@link close}; the
 * next run is another feed.
 */
export class OutputFeed {
  readonly #options: OutputFeedOptions;
  readonly #join: JoinPoint;
  readonly #sink: MeteredSink;
  readonly #queue: OutputQueue;
  readonly #pollTimer: NodeJS.Timeout | undefined;
  readonly #onTags = (group: TagGroup): void => this.#take(group);
  readonly #onFormat = (): void => this.#join.changeFormat();
  #lateFramesDropped = 0;
  #closed = false;

  private constructor(options: OutputFeedOptions) {
    const { rendition, sink, queue, pollingMs, silence, sendMetadata } = options;
    this.#options = options;
    this.#join = new JoinPoint(rendition, silence, sendMetadata, tickMs());
    this.#sink = new MeteredSink(sink);
    this.#queue = new OutputQueue(queue, this.#sink, () => rendition.requestKeyFrame());
    if (queue.enabled) this.#pollTimer = setInterval(() => this.pump(), pollingMs);
  }

  /** Begins with the last key frame if that was recent, and otherwise with the next one, which is requested. */
  static start(options: OutputFeedOptions): OutputFeed {
    const feed = new OutputFeed(options);
    const { rendition } = options;
    const { recent } = rendition;
    if (recent) feed.#send(recent);
    if (!feed.#join.begun) rendition.requestKeyFrame();
    rendition.on('tags', feed.#onTags);
    rendition.on('format', feed.#onFormat);
    return feed;
  }

  /** Whether video frames were sent. */
  get hasFrames(): boolean {
    return this.#join.hasFrames;
  }

  get framesDropped(): number {
    return this.#queue.framesDropped + this.#lateFramesDropped;
  }

  /** Milliseconds of media in the queue. */
  get bufferedMs(): number {
    return this.#queue.bufferedMs;
  }

  /** Recent kilobits per second. */
  bitrate(nowMs: number): number {
    return this.#sink.bitrate(nowMs);
  }

  /** Recent frames per second. */
  frameRate(nowMs: number): number {
    return this.#sink.frameRate(nowMs);
  }

  /** Sends what waits. To be called when the sink becomes writable again. */
  pump(): void {
    this.#queue.pump(tickMs());
  }

  /** Idempotent. What waits is discarded. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#pollTimer);
    this.#options.rendition.off('tags', this.#onTags);
    this.#options.rendition.off('format', this.#onFormat);
  }

  #take(group: TagGroup): void {
    const { rendition, lateGroups } = this.#options;
    const { admitted, framesDropped } = lateGroups.admit(rendition, group, tickMs());
    if (framesDropped > 0 && this.#join.begun) {
      this.#lateFramesDropped += framesDropped;
      lateGroups.countDropped(framesDropped);
    }
    if (admitted) this.#send(admitted);
  }

  #send(group: TagGroup): void {
    // A listener that ran before may have closed the feed.
    if (this.#closed) return;
    const { transform, onTracksChanged } = this.#options;
    const join = this.#join;
    const nowMs = tickMs();
    const hadAudioOnly = join.begun && !join.hasFrames;
    const joined = join.take(group, nowMs);
    if (hadAudioOnly && join.hasFrames && onTracksChanged) return onTracksChanged();
    // The transform runs after joining: a sound file must not advance before its destination takes media.
    const sent = joined && transform ? transform(joined, join.baseMs) : joined;
    if (sent) this.#queue.push(sent, nowMs);
  }
}
