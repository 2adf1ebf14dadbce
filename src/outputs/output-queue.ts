import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../media/containers/flv-tag.ts';
import { TagGroup } from '../media/containers/tag-group.ts';
import type { TagSink } from './output.ts';

export interface OutputQueueRules {
  /** Output is delayed and smoothed (`rtmp_out_buffer_enabled`). */
  readonly enabled: boolean;
  /** Milliseconds of media that are collected before the first output (`rtmp_out_buffer_initial_size`). */
  readonly initialMs: number;
  /** Milliseconds of media that are collected again after the queue ran empty (`rtmp_out_buffer_start_size`). */
  readonly startMs: number;
  /** How often output stops to collect again; −1: unlimited (`rtmp_out_buffer_max_bufferings_allowed`). */
  readonly maxBufferings: number;
  /**
   * Tags that the sink does not take at once wait here instead of being dropped (`rtmp.server_buffer_enabled`); with
   * `enabled` they always wait.
   */
  readonly queueWhenFull: boolean;
}

/** A sink that is further behind than this (beyond the configured delay) will not catch up by waiting. */
const MAX_LAG_MS = 5000;
/** 5 s of 25 Mbps, and as much for each further 5 s of configured delay. Bounds the memory that one slow sink costs. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Most bytes of a queue that are written at once; a single tag may be larger. */
const MAX_GROUP_BYTES = 16 * 1024;

/**
 * The tags that wait for one sink. Always bounded: a sink that does not keep up loses whole groups of frames (up to the
 * next key frame, while audio goes on), which are counted. It never slows down other outputs or the encoder. Time is
 * passed in.
 */
export class OutputQueue {
  readonly #rules: OutputQueueRules;
  readonly #sink: TagSink;
  readonly #needKeyFrame: () => void;
  #queue: FlvTag[] = [];
  #bytes = 0;
  #framesDropped = 0;
  /** Frames are useless until the next key frame, because an earlier frame was dropped. */
  #skipping = false;
  #collecting: number;
  #bufferings = 0;
  /** Delayed output: a tag is due when the clock reaches its timestamp plus this. */
  #offsetMs: number | undefined;

  /** @param needKeyFrame called when all waiting frames were dropped and a new key frame is needed */
  constructor(rules: OutputQueueRules, sink: TagSink, needKeyFrame: () => void) {
    this.#rules = rules;
    this.#sink = sink;
    this.#needKeyFrame = needKeyFrame;
    this.#collecting = rules.enabled ? rules.initialMs : 0;
  }

  get framesDropped(): number {
    return this.#framesDropped;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Milliseconds of media in the queue. */
  get bufferedMs(): number {
    // Metadata and headers stay when the media after them was dropped.
    const first = this.#queue.find((tag) => isFrame(tag) || isAudio(tag));
    return first ? Math.max(0, this.#queue.at(-1)!.timestamp - first.timestamp) : 0;
  }

  push(group: TagGroup, nowMs: number): void {
    // The common case: no delay and nothing waits, so the group is passed on as it is.
    if (!this.#rules.enabled && !this.#skipping && this.#queue.length === 0 && this.#sink.writable)
      this.#sink.write(group);
    else for (const tag of group.tags) this.#push(tag, nowMs);
  }

  #push(tag: FlvTag, nowMs: number): void {
    if (this.#skipping && isFrame(tag)) {
      if (!tag.keyFrame) {
        this.#framesDropped++;
        return;
      }
      this.#skipping = false;
    }
    this.#queue.push(tag);
    this.#bytes += tag.data.length;
    this.#bound();
    if (!this.#rules.enabled) this.pump(nowMs);
  }

  /** Sends what is due. To be called when the sink is writable again, and at intervals where output is delayed. */
  pump(nowMs: number): void {
    if (this.#rules.enabled && !this.#collected(nowMs)) return;
    while (this.#sink.writable) {
      const due = this.#takeDue(nowMs);
      if (due.length === 0) break;
      this.#sink.write(new TagGroup(due));
    }
    if (this.#rules.enabled && this.#queue.length === 0) this.#rebuffer();
  }

  /** Takes what is due from the front of the queue, as much as may be written before `writable` is checked again. */
  #takeDue(nowMs: number): FlvTag[] {
    let count = 0;
    let bytes = 0;
    for (; count < this.#queue.length && bytes < MAX_GROUP_BYTES; count++) {
      const { timestamp, data } = this.#queue[count]!;
      if (this.#offsetMs !== undefined && timestamp + this.#offsetMs > nowMs) break;
      bytes += data.length;
    }
    this.#bytes -= bytes;
    return this.#queue.splice(0, count);
  }

  #collected(nowMs: number): boolean {
    if (this.#offsetMs !== undefined) return true;
    if (this.#queue.length === 0 || this.bufferedMs < this.#collecting) return false;
    this.#offsetMs = nowMs - this.#queue[0]!.timestamp;
    return true;
  }

  #rebuffer(): void {
    if (this.#rules.maxBufferings >= 0 && this.#bufferings >= this.#rules.maxBufferings) return;
    this.#bufferings++;
    this.#offsetMs = undefined;
    this.#collecting = this.#rules.startMs;
  }

  /** Delayed output needs a limit above the delay itself, or the queue would never be full enough to begin. */
  get #limitMs(): number {
    const { enabled, initialMs, startMs, queueWhenFull } = this.#rules;
    if (enabled) return Math.max(initialMs, startMs) + MAX_LAG_MS;
    return queueWhenFull ? MAX_LAG_MS : 0;
  }

  #bound(): void {
    const limitMs = this.#limitMs;
    const maxBytes = MAX_BYTES * Math.max(1, limitMs / MAX_LAG_MS);
    if (this.#bytes <= maxBytes && this.bufferedMs <= limitMs) return;
    const oldest = this.#queue.at(-1)!.timestamp - limitMs;
    const frame = this.#queue.find(isFrame);
    if (frame && (this.#bytes > maxBytes || frame.timestamp < oldest)) this.#dropFrames();
    // Audio goes on; only audio that is too old is dropped.
    for (let index; (index = this.#queue.findIndex(isAudio)) >= 0;) {
      const audio = this.#queue[index]!;
      if (audio.timestamp >= oldest) break;
      this.#bytes -= audio.data.length;
      this.#queue.splice(index, 1);
    }
  }

  /**
   * Drops all frames before the latest key frame in the queue. Without one, drops all frames and those that follow
   * until the next key frame.
   */
  #dropFrames(): void {
    const keep = this.#queue.findLastIndex((tag) => tag.keyFrame && isFrame(tag));
    // Keeping a key frame at the front would drop nothing.
    const firstFrame = this.#queue.findIndex(isFrame);
    const until = keep > firstFrame ? keep : Infinity;
    // Of the headers among the dropped frames only the last one matters for what follows.
    const header = this.#queue.findLastIndex(
      (tag, index) => index < until && tag.type === TAG_VIDEO && tag.sequenceHeader,
    );
    this.#queue = this.#queue.filter((tag, index) => {
      if (tag.type !== TAG_VIDEO || index >= until || index === header) return true;
      if (!tag.sequenceHeader) this.#framesDropped++;
      this.#bytes -= tag.data.length;
      return false;
    });
    if (until === Infinity) {
      this.#skipping = true;
      this.#needKeyFrame();
    }
  }
}

const isFrame = (tag: FlvTag): boolean => tag.type === TAG_VIDEO && !tag.sequenceHeader;
const isAudio = (tag: FlvTag): boolean => tag.type === TAG_AUDIO && !tag.sequenceHeader;
