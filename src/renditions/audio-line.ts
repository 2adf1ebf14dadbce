import { MAX_DELAY_DIFFERENCE_MS } from '../media/rtp/media-clock.ts';
import { MinimumWindow } from '../media/rtp/minimum-window.ts';
import { TAG_AUDIO, type FlvTag } from '../media/containers/flv-tag.ts';
import { AAC_FORMAT, type AudioFormat } from './audio-format.ts';
import { MAX_REORDER_WAIT_MS } from './track-input.ts';

/**
 * How late live audio may be before silence takes its place, in addition to the encoder's batch: a packet of 40 ms that
 * was waited for, the batching of the event loop, and the timer that checks it.
 */
const LIVE_LATE_MS = MAX_REORDER_WAIT_MS + 100;
/** How far silence stays behind the present, so that returning live audio still fits; also in addition to the batch. */
const SILENCE_BEHIND_MS = 140;
/**
 * A publisher's sender reports may place audio up to a second behind the video that arrived with it. Placing it by
 * arrival would break lip sync, so the line waits longer once this many milliseconds of audio came too late, and only
 * as long as needed. A burst after a stall is shorter.
 */
const LATE_ENOUGH_MS = 1000;
/** Late audio that is older than this is forgotten. */
const LATE_MEMORY_MS = 10_000;
/** Additional delay of the event loop's batching, the timer and the next batch. */
const LATE_MARGIN_MS = 140;
/** The longest hole that one call fills: a longer one means that the stream stood still. */
const MAX_HOLE_MS = 60_000;

/**
 * An audio track without holes: live frames if there are any, otherwise silence. Destinations always get audio
 * (Facebook requires it, YouTube complains), and switch between sources in step with it.
 */
export class AudioLine {
  readonly #emit: (tag: FlvTag) => void;
  readonly #format: AudioFormat;
  readonly #patienceMs: number;
  readonly #liveLateMs: number;
  readonly #silenceBehindMs: number;
  readonly #latestMs: number;
  /** The stream's present at the last call of `fill`. */
  #presentMs = 0;
  #delayMs = 0;
  /** Dropped late audio: number of frames, since when, and the largest delay. */
  #lateFrames = 0;
  #lateSinceMs = -Infinity;
  #lateMs = 0;
  /** Negative delay of audio, while it is larger than the line's usual wait. */
  #late: MinimumWindow | undefined;
  /** Time of the next frame if nothing is missing, in milliseconds. */
  #next: number | undefined;

  /**
   * @param batchMs milliseconds of audio that the encoder collects, which delays live audio
   * @param patienceMs how much longer than a live output this line waits for late audio before silence takes its place
   */
  constructor(batchMs: number, emit: (tag: FlvTag) => void, format = AAC_FORMAT, patienceMs = 0) {
    this.#emit = emit;
    this.#format = format;
    this.#patienceMs = patienceMs;
    this.#liveLateMs = batchMs + LIVE_LATE_MS + patienceMs;
    this.#silenceBehindMs = batchMs + SILENCE_BEHIND_MS + patienceMs;
    this.#latestMs = this.#liveLateMs + MAX_DELAY_DIFFERENCE_MS;
  }

  /** Sends a live frame; drops it if it overlaps what has been sent. */
  live(raw: Buffer, streamMs: number): void {
    if (this.#next === undefined) this.#next = Math.max(0, streamMs);
    this.#late?.add(streamMs - this.#presentMs, this.#presentMs);
    if (streamMs < this.#next - this.#format.frameMs / 2) return this.#tooLate(streamMs);
    this.#silenceUntil(streamMs - this.#format.frameMs / 2);
    const { frameMs, durationMs } = this.#format;
    this.#send(this.#format.body(raw), streamMs, durationMs?.(raw) ?? frameMs);
  }

  /**
   * Fills holes in the live audio.
   *
   * @param nowMs the stream's present
   * @param liveExpected whether the stream has live audio, which may be late
   * @param delayMs how far live audio is known to be behind the present
   */
  fill(nowMs: number, liveExpected: boolean, delayMs = 0): void {
    this.#presentMs = nowMs;
    this.#delayMs = liveExpected ? delayMs : 0;
    if (!liveExpected) this.#late = undefined;
    const waitMs = this.#waitMs();
    if (this.#next === undefined) {
      // Before its first frame there is nothing to be patient for.
      const beginMs = nowMs - waitMs + this.#patienceMs;
      if (liveExpected && beginMs < 0) return;
      this.#next = Math.max(0, beginMs);
    }
    if (this.#next < nowMs - (liveExpected ? waitMs : 0))
      this.#silenceUntil(nowMs - (liveExpected ? waitMs - this.#liveLateMs + this.#silenceBehindMs : 0));
  }

  #waitMs(): number {
    const usualMs = this.#liveLateMs + this.#delayMs;
    if (!this.#late) return usualMs;
    const waitMs = Math.min(LATE_MARGIN_MS - this.#late.minimum, this.#latestMs);
    if (waitMs > usualMs) return waitMs;
    this.#late = undefined;
    return usualMs;
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

  #send(data: Buffer, streamMs: number, durationMs = this.#format.frameMs): void {
    this.#next = streamMs + durationMs;
    this.#emit({ type: TAG_AUDIO, timestamp: Math.round(streamMs), data, keyFrame: false, sequenceHeader: false });
  }
}
