import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { TagGroup } from '../../media/containers/tag-group.ts';

export interface OutBufferRules {
  /** `rtmp_out_buffer_enabled`: output is delayed and smoothed. */
  readonly enabled: boolean;
  /** `rtmp_out_buffer_initial_size`: milliseconds of media collected before the first output. */
  readonly initialMs: number;
  /** `rtmp_out_buffer_start_size`: milliseconds collected again after the buffer ran empty. */
  readonly startMs: number;
  /** `rtmp_out_buffer_max_bufferings_allowed`: after so many times it no longer stops to collect; −1: unlimited. */
  readonly maxBufferings: number;
  /** `rtmp.server_buffer_enabled`: tags that the connection does not take at once wait here instead of being dropped; with `enabled` they always do. */
  readonly queueWhenFull: boolean;
}

/** What one connection takes. */
export interface TagSink {
  readonly writable: boolean;
  write(group: TagGroup): void;
}

/** A destination that is so far behind (beyond the wanted delay) will not catch up by waiting. */
const MAX_LAG_MS = 5000;
/** 5 s of 25 Mbps, and as much for each further 5 s of wanted delay. Bounds what one slow destination costs. */
const MAX_BYTES = 16 * 1024 * 1024;
/** What is written at once of a queue; a tag may be larger. */
const MAX_GROUP_BYTES = 16 * 1024;

/**
 * What waits for one destination. Always bounded: a destination that does not keep up loses whole groups of frames (up to the
 * next key frame, audio going on), counted, and never slows its neighbours or the encoder down. Time is passed in.
 */
export class OutBuffer {
  readonly #rules: OutBufferRules;
  readonly #sink: TagSink;
  readonly #needKeyFrame: () => void;
  #queue: FlvTag[] = [];
  #bytes = 0;
  #framesDropped = 0;
  /** Frames are of no use until the next key frame, for one before it was dropped. */
  #skipping = false;
  #collecting: number;
  #bufferings = 0;
  /** Paced output: a tag is due when our clock reaches its timestamp plus this. */
  #offsetMs: number | undefined;

  /** @param needKeyFrame runs when everything up to the next key frame has been dropped and none is in sight */
  constructor(rules: OutBufferRules, sink: TagSink, needKeyFrame: () => void) {
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

  /** Milliseconds of media that wait. */
  get bufferedMs(): number {
    // Metadata and headers stay when what followed them was dropped, and are no media.
    const first = this.#queue.find((tag) => isFrame(tag) || isSound(tag));
    return first ? Math.max(0, this.#queue.at(-1)!.timestamp - first.timestamp) : 0;
  }

  push(group: TagGroup, nowMs: number): void {
    // The common case costs nothing: no queue, no delay, straight on.
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

  /** Sends what may go now: when there is room again, and with `rtmp_out_buffer_enabled` every `rtmp_out_buffer_polling_time`. */
  pump(nowMs: number): void {
    if (this.#rules.enabled && !this.#collected(nowMs)) return;
    while (this.#sink.writable) {
      const due = this.#takeDue(nowMs);
      if (due.length === 0) break;
      this.#sink.write(new TagGroup(due));
    }
    if (this.#rules.enabled && this.#queue.length === 0) this.#rebuffer();
  }

  /** From the front of the queue, as much as one may write without looking whether the connection still takes it. */
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

  /** Where output is delayed there is a queue in any case, and one that is bound to the delay itself would never be full enough to begin. */
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
    // Audio goes on; only what is too old of it goes as well.
    for (let index; (index = this.#queue.findIndex(isSound)) >= 0;) {
      const sound = this.#queue[index]!;
      if (sound.timestamp >= oldest) break;
      this.#bytes -= sound.data.length;
      this.#queue.splice(index, 1);
    }
  }

  /** Drops all frames before the latest key frame that waits, or all of them and those to come until the next. */
  #dropFrames(): void {
    const keep = this.#queue.findLastIndex((tag) => tag.keyFrame && isFrame(tag));
    // A key frame at the very front would drop nothing.
    const firstFrame = this.#queue.findIndex(isFrame);
    const until = keep > firstFrame ? keep : Infinity;
    // Of the headers of what is dropped only the last one says anything about what follows.
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
const isSound = (tag: FlvTag): boolean => tag.type === TAG_AUDIO && !tag.sequenceHeader;
