import { MAX_DELAY_DIFFERENCE_MS } from '../media/rtp/media-clock.ts';
import { MinimumWindow } from '../media/rtp/minimum-window.ts';
import { TAG_AUDIO, type FlvTag } from '../media/containers/flv-tag.ts';
import { AAC_FORMAT, type AudioFormat } from './audio-format.ts';
import { MAX_REORDER_WAIT_MS } from './track-input.ts';

/**
 * How far behind the stream's present live audio may be before silence takes its place, beside what its encoder collects: a packet of 40 ms that was waited for, the
 * rest of the loop, and the tick that looks for it.
 */
const LIVE_LATE_MS = MAX_REORDER_WAIT_MS + 100;
/** How far behind the present silence stays, so that live audio that comes back still fits; also beside that. */
const SILENCE_BEHIND_MS = 140;
/**
 * Sound may also belong so late: a publisher's reports put it up to a second behind the frame that arrived with it. Placed by its arrival it would not be silent either, but lips would be out of
 * sync by as much; so it is waited for, once so many milliseconds of it came too late for that alone, and no longer than it needs. A burst after a stall is over sooner.
 */
const LATE_ENOUGH_MS = 1000;
/** Too late more than so long ago says nothing about now. */
const LATE_MEMORY_MS = 10_000;
/** What the rest of the loop, the tick, and the batch after this one may add to how late it is. */
const LATE_MARGIN_MS = 140;
/** The longest hole that one call fills: what is longer is no audio that is late but a stream that stood still. */
const MAX_HOLE_MS = 60_000;

/**
 * An audio track without holes: live frames where there are any, silence everywhere else. Destinations always get audio
 * (Facebook requires it, YouTube complains), and its steady rhythm is the clock by which they switch.
 */
export class AudioLine {
  readonly #emit: (tag: FlvTag) => void;
  readonly #format: AudioFormat;
  readonly #liveLateMs: number;
  readonly #silenceBehindMs: number;
  readonly #latestMs: number;
  /** The stream's present, when it was told last. */
  #presentMs = 0;
  /** Sound that was dropped, in frames, since when, and by how much the latest of it was behind the present. */
  #lateFrames = 0;
  #lateSinceMs = -Infinity;
  #lateMs = 0;
  /** How far sound is behind the present, negative, where it is more than the line stands. */
  #late: MinimumWindow | undefined;
  /** Time of the frame that comes next if nothing is missing, in milliseconds. */
  #next: number | undefined;

  /** @param batchMs milliseconds of sound that its encoder collects, by which live audio is late */
  constructor(batchMs: number, emit: (tag: FlvTag) => void, format = AAC_FORMAT) {
    this.#emit = emit;
    this.#format = format;
    this.#liveLateMs = batchMs + LIVE_LATE_MS;
    this.#silenceBehindMs = batchMs + SILENCE_BEHIND_MS;
    this.#latestMs = this.#liveLateMs + MAX_DELAY_DIFFERENCE_MS;
  }

  /** A live frame; one that overlaps what has been sent is dropped. */
  live(raw: Buffer, streamMs: number): void {
    if (this.#next === undefined) this.#next = Math.max(0, streamMs);
    this.#late?.add(streamMs - this.#presentMs, this.#presentMs);
    if (streamMs < this.#next - this.#format.frameMs / 2) return this.#tooLate(streamMs);
    this.#silenceUntil(streamMs - this.#format.frameMs / 2);
    this.#send(this.#format.body(raw), streamMs);
  }

  /**
   * Fills what live audio has left out.
   *
   * @param nowMs the stream's present
   * @param liveExpected whether the stream has a microphone that may only be late
   */
  fill(nowMs: number, liveExpected: boolean): void {
    this.#presentMs = nowMs;
    if (!liveExpected) this.#late = undefined;
    const waitMs = this.#waitMs();
    if (this.#next === undefined) {
      if (liveExpected && nowMs < waitMs) return;
      this.#next = Math.max(0, nowMs - waitMs);
    }
    if (this.#next < nowMs - (liveExpected ? waitMs : 0))
      this.#silenceUntil(nowMs - (liveExpected ? waitMs - this.#liveLateMs + this.#silenceBehindMs : 0));
  }

  #waitMs(): number {
    if (!this.#late) return this.#liveLateMs;
    const waitMs = Math.min(LATE_MARGIN_MS - this.#late.minimum, this.#latestMs);
    if (waitMs > this.#liveLateMs) return waitMs;
    this.#late = undefined;
    return this.#liveLateMs;
  }

  #tooLate(streamMs: number): void {
    const present = this.#presentMs;
    if (present - this.#lateSinceMs > LATE_MEMORY_MS) {
      this.#lateSinceMs = present;
      this.#lateFrames = 0;
      this.#lateMs = 0;
    }
    this.#lateFrames++;
    this.#lateMs = Math.max(this.#lateMs, present - streamMs);
    if (present - this.#lateSinceMs < LATE_ENOUGH_MS || this.#lateFrames * this.#format.frameMs < LATE_ENOUGH_MS)
      return;
    this.#lateSinceMs = -Infinity;
    this.#late ??= new MinimumWindow();
    this.#late.add(-this.#lateMs, present);
  }

  #silenceUntil(untilMs: number): void {
    if (untilMs - this.#next! > MAX_HOLE_MS) this.#next = untilMs - MAX_HOLE_MS;
    while (this.#next! < untilMs) this.#send(this.#format.silence, this.#next!);
  }

  #send(data: Buffer, streamMs: number): void {
    this.#next = streamMs + this.#format.frameMs;
    this.#emit({ type: TAG_AUDIO, timestamp: Math.round(streamMs), data, keyFrame: false, sequenceHeader: false });
  }
}
