import { TAG_SCRIPT, TAG_VIDEO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { InBandSets } from '../../media/codecs/avc-in-band.ts';
import { isSameTrack } from '../../media/containers/flv-track.ts';
import { Mp4Fragments } from '../../media/containers/mp4-fragments.ts';
import { StillVideo } from './still-video.ts';

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
  /** Key frames contain their parameter sets. */
  readonly inBand: boolean;
  readonly video: FlvTag | undefined;
  readonly audio: FlvTag | undefined;
}

export interface SegmentSink {
  /** What follows does not continue what came before. */
  run(format: RunFormat): void;
  /** What follows continues what came before, and needs another initialisation section. */
  renew(format: RunFormat): void;
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
/** The last frame is repeated when the next one is missing for this long, or for this many usual intervals, in milliseconds. */
const STILL_AFTER_MS = 1000;
const STILL_AFTER_INTERVALS = 2;
const STILL_AT_LATEST_MS = 5000;

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
  readonly #sets = new InBandSets();
  /** The next segment needs another initialisation section. */
  #renews = false;
  /** The last frame that was received, and how long after the one before. */
  #frameMs = 0;
  #intervalMs = 0;
  #keyFrame: FlvTag | undefined;
  /** While the publisher sends no frames. */
  #still: StillVideo | undefined;

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
    if (isVideo && (!this.#hasVideo || !this.#goesOn(tag))) return;
    const drives = isVideo || !this.#hasVideo;
    this.#advance(drives ? tag.timestamp : tag.timestamp - AUDIO_AHEAD_MS, !drives);
    // The gap was too long.
    if (!this.#fragments) return this.take(tag, hasVideo);
    this.#push(tag);
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
    this.#still = undefined;
    this.#sink.end();
  }

  #takeHeader(tag: FlvTag): void {
    const copy = { ...tag, data: Buffer.from(tag.data) };
    if (tag.type !== TAG_VIDEO) {
      this.#audioHeader = copy;
      return;
    }
    const before = this.#videoHeader;
    // Repeated headers are the same.
    if (before?.data.equals(tag.data)) return;
    this.#videoHeader = copy;
    if (this.#fragments && this.#hasVideo && before && isSameTrack(before, tag)) {
      this.#renews ||= !this.#sets.active;
      this.#sets.change(copy.data);
    } else this.finish();
  }

  #begin(tag: FlvTag, hasVideo: boolean): void {
    this.#sets.begin(this.#videoHeader?.data);
    this.#renews = false;
    this.#intervalMs = 0;
    const headers = { video: hasVideo ? this.#videoHeader : undefined, audio: this.#audioHeader };
    const fragments = new Mp4Fragments(headers, { inBand: this.#sets.active });
    this.#fragments = fragments;
    this.#breakMs = Infinity;
    this.#hasVideo = hasVideo;
    this.#sink.run(this.#formatOf(fragments));
    this.#open(tag.timestamp);
    this.#partMs = this.#lastMs = tag.timestamp;
    this.#independent = true;
    this.#frameMs = tag.timestamp;
    this.#push(tag);
  }

  #formatOf({ init }: Mp4Fragments): RunFormat {
    const video = this.#hasVideo ? this.#videoHeader : undefined;
    return { init, inBand: this.#sets.active, video, audio: this.#audioHeader };
  }

  #push(tag: FlvTag): void {
    if (tag.type !== TAG_VIDEO) return this.#fragments!.push(tag);
    const data = this.#sets.bodyOf(tag.data, tag.keyFrame);
    this.#fragments!.push({ ...tag, data });
    this.#intervalMs = tag.timestamp - this.#frameMs;
    this.#frameMs = tag.timestamp;
    // A copy: the tag is a view that keeps a whole read buffer alive.
    if (tag.keyFrame) this.#keyFrame = { ...tag, data: Buffer.from(data) };
  }

  /** Whether the frame can follow what came before: after repeated frames, a key frame can. */
  #goesOn({ keyFrame, timestamp }: FlvTag): boolean {
    if (!this.#still) return true;
    if (!keyFrame || timestamp <= this.#partMs) {
      this.#request();
      return false;
    }
    this.#still = undefined;
    return true;
  }

  /** Repeats the last frame at this time, when the publisher sends none. */
  #hold(atMs: number): void {
    const fragments = this.#fragments!;
    const patienceMs = Math.max(STILL_AFTER_MS, this.#intervalMs * STILL_AFTER_INTERVALS);
    const last = fragments.heldFrame;
    if (!fragments.hasAudio || !last || atMs - this.#frameMs < Math.min(patienceMs, STILL_AT_LATEST_MS)) return;
    this.#still ??= new StillVideo(this.#videoHeader!, this.#keyFrame!, last);
    fragments.push(this.#still.next(atMs, this.#isLong(atMs)));
  }

  /** Whether a segment that has no key frame ends here. While frames are repeated, any of them may begin one. */
  #isLong(atMs: number): boolean {
    const { partMs, minSegmentMs, maxSegmentMs } = this.#rules;
    return atMs - this.#segmentMs > (this.#still ? minSegmentMs : maxSegmentMs - partMs);
  }

  #open(startMs: number): void {
    this.#segmentMs = startMs;
    this.#requested = false;
    this.#sink.begin(startMs);
  }

  #request(): void {
    if (!this.#requested) this.#sink.needKeyFrame();
    this.#requested = true;
  }

  /** Ends the parts that are over before the next frame. @param alone audio comes without video */
  #advance(nowMs: number, alone: boolean): void {
    const { partMs } = this.#rules;
    while (nowMs - this.#partMs > partMs) {
      const atMs = this.#partMs + partMs;
      if (alone) this.#hold(atMs);
      // Nothing was received for longer than a part.
      if (!this.#emit(atMs, false)) return this.finish();
      const isLong = this.#isLong(atMs);
      this.#independent = !this.#hasVideo || (isLong && this.#still !== undefined);
      if (isLong) this.#split(atMs);
    }
  }

  /** Ends the part before this tag if it is long enough, or if a segment begins with the tag. */
  #cutAt(tag: FlvTag): void {
    const { partMs, minSegmentMs, requestMs } = this.#rules;
    const { timestamp, keyFrame } = tag;
    const segmentMs = timestamp - this.#segmentMs;
    const canBegin = keyFrame || !this.#hasVideo;
    const ends = (canBegin && (segmentMs >= minSegmentMs || this.#renews)) || this.#isLong(timestamp);
    if (segmentMs >= requestMs && !ends) this.#request();
    if (!ends && timestamp - this.#partMs < partMs * MIN_PART_SHARE) return;
    if (timestamp > this.#partMs && !this.#emit(timestamp, false)) return;
    this.#independent = canBegin;
    if (ends) this.#split(timestamp);
  }

  #split(atMs: number): void {
    this.#sink.end();
    if (this.#renews && this.#independent) {
      this.#renews = false;
      this.#fragments!.beginInBand();
      this.#sink.renew(this.#formatOf(this.#fragments!));
    }
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
