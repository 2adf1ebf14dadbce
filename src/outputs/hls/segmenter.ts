import { TAG_SCRIPT, TAG_VIDEO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { Mp4Fragments } from '../../media/containers/mp4-fragments.ts';

export interface SegmentRules {
  /** Longest part. */
  readonly partMs: number;
  /** A segment ends at the first key frame from here on. */
  readonly minSegmentMs: number;
  /** A key frame is requested when a segment is this long. */
  readonly requestMs: number;
  /** Without a key frame a segment ends here, and the next one begins with another frame. */
  readonly maxSegmentMs: number;
}

/** The initialisation section of a run of segments, and the sequence headers that it was made from. */
export interface RunFormat {
  readonly init: Buffer;
  readonly video: FlvTag | undefined;
  readonly audio: FlvTag | undefined;
}

export interface SegmentSink {
  /** What follows does not continue what came before. */
  run(format: RunFormat): void;
  /** A segment begins. `startMs` is on the clock of the tags. */
  begin(startMs: number): void;
  part(part: { readonly bytes: Buffer; readonly durationMs: number; readonly independent: boolean }): void;
  /** The segment is complete. */
  end(): void;
  needKeyFrame(): void;
}

/** A part must have at least this share of the longest duration (RFC 8216bis, 4.4.4.9). */
const MIN_PART_SHARE = 0.85;
/** Audio that is further ahead of the video than this ends parts alone: the publisher sends no frames. Milliseconds. */
const AUDIO_AHEAD_MS = 1000;

/**
 * Cuts the tags of a rendition into the parts and segments of HLS. Segments begin with key frames where the publisher
 * sends them in time. A frame belongs to the part in which the next frame begins, so no part waits for a late frame.
 */
export class Segmenter {
  readonly #rules: SegmentRules;
  readonly #sink: SegmentSink;
  #videoHeader: FlvTag | undefined;
  #audioHeader: FlvTag | undefined;
  #fragments: Mp4Fragments | undefined;
  #hasVideo = false;
  #segmentMs = 0;
  #partMs = 0;
  #lastMs = 0;
  #independent = false;
  #requested = false;
  /** The first key frame from here on begins another run. */
  #breakMs = Infinity;

  constructor(rules: SegmentRules, sink: SegmentSink) {
    this.#rules = rules;
    this.#sink = sink;
  }

  /** @param hasVideo whether frames are to be expected */
  take(tag: FlvTag, hasVideo: boolean): void {
    if (tag.type === TAG_SCRIPT) return;
    if (tag.sequenceHeader) return this.#takeHeader(tag);
    const isVideo = tag.type === TAG_VIDEO;
    if (tag.timestamp >= this.#breakMs && (this.#hasVideo ? isVideo && tag.keyFrame : !isVideo)) this.finish();
    if (!this.#fragments) {
      const expectsVideo = hasVideo && this.#videoHeader !== undefined;
      if (expectsVideo ? isVideo && tag.keyFrame : !isVideo) this.#begin(tag, expectsVideo);
      return;
    }
    if (isVideo && !this.#hasVideo) return;
    const drives = isVideo || !this.#hasVideo;
    this.#advance(drives ? tag.timestamp : tag.timestamp - AUDIO_AHEAD_MS);
    // The gap was too long.
    if (!this.#fragments) return this.take(tag, hasVideo);
    this.#fragments.push(tag);
    this.#lastMs = Math.max(this.#lastMs, tag.timestamp);
    if (drives) this.#cutAt(tag);
  }

  /** The first key frame from this time on begins another run, unless one has begun before. */
  breakAt(timeMs: number): void {
    this.#breakMs = timeMs;
  }

  /** Ends the run of segments; what follows begins another one. */
  finish(): void {
    const fragments = this.#fragments;
    if (!fragments) return;
    this.#emit(Math.min(Math.max(this.#lastMs, this.#partMs + 1), this.#partMs + this.#rules.partMs), true);
    this.#fragments = undefined;
    this.#sink.end();
  }

  #takeHeader(tag: FlvTag): void {
    const copy = { ...tag, data: Buffer.from(tag.data) };
    if (tag.type !== TAG_VIDEO) {
      this.#audioHeader = copy;
      return;
    }
    // Repeated headers are the same.
    if (this.#videoHeader?.data.equals(tag.data)) return;
    this.finish();
    this.#videoHeader = copy;
  }

  #begin(tag: FlvTag, hasVideo: boolean): void {
    const headers = { video: hasVideo ? this.#videoHeader : undefined, audio: this.#audioHeader };
    const fragments = new Mp4Fragments(headers);
    this.#fragments = fragments;
    this.#breakMs = Infinity;
    this.#hasVideo = hasVideo;
    this.#sink.run({ init: fragments.init, ...headers });
    this.#open(tag.timestamp);
    this.#partMs = this.#lastMs = tag.timestamp;
    this.#independent = true;
    fragments.push(tag);
  }

  #open(startMs: number): void {
    this.#segmentMs = startMs;
    this.#requested = false;
    this.#sink.begin(startMs);
  }

  /** Ends the parts that are over before the next frame. */
  #advance(nowMs: number): void {
    const { partMs, maxSegmentMs } = this.#rules;
    while (nowMs - this.#partMs > partMs) {
      const atMs = this.#partMs + partMs;
      // Nothing was received for longer than a part.
      if (!this.#emit(atMs, false)) return this.finish();
      this.#independent = !this.#hasVideo;
      if (atMs - this.#segmentMs + partMs > maxSegmentMs) this.#split(atMs);
    }
  }

  /** Ends the part before this tag if it is long enough, or if a segment begins with the tag. */
  #cutAt(tag: FlvTag): void {
    const { partMs, minSegmentMs, requestMs, maxSegmentMs } = this.#rules;
    const { timestamp, keyFrame } = tag;
    const segmentMs = timestamp - this.#segmentMs;
    const canBegin = keyFrame || !this.#hasVideo;
    const ends = (canBegin && segmentMs >= minSegmentMs) || segmentMs + partMs > maxSegmentMs;
    if (!this.#requested && segmentMs >= requestMs && !ends) {
      this.#requested = true;
      this.#sink.needKeyFrame();
    }
    if (!ends && timestamp - this.#partMs < partMs * MIN_PART_SHARE) return;
    if (timestamp > this.#partMs && !this.#emit(timestamp, false)) return;
    this.#independent = canBegin;
    if (ends) this.#split(timestamp);
  }

  #split(atMs: number): void {
    this.#sink.end();
    this.#open(atMs);
  }

  /** @returns whether there was anything */
  #emit(endMs: number, last: boolean): boolean {
    // Audio may be ahead by the delay of a video encoder: in all qualities a part ends at the same time.
    const bytes = this.#fragments!.take(last, endMs);
    if (!bytes) return false;
    this.#sink.part({ bytes, durationMs: endMs - this.#partMs, independent: this.#independent });
    this.#partMs = endMs;
    return true;
  }
}
