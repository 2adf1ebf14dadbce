import { aacFrame, silentAacFrame } from '../flv/aac.ts';
import { TAG_AUDIO, type FlvTag } from '../flv/flv-tag.ts';
import { AAC_CHANNELS } from './aac-coder.ts';
import { AAC_FRAME_MS } from './audio-encoder.ts';
import { MAX_REORDER_WAIT_MS } from './track-input.ts';

/**
 * How far behind the stream's present live audio may be before silence takes its place, beside what its encoder collects: a packet of 40 ms that was waited for, the
 * rest of the loop, and the tick that looks for it.
 */
const LIVE_LATE_MS = MAX_REORDER_WAIT_MS + 100;
/** How far behind the present silence stays, so that live audio that comes back still fits; also beside that. */
const SILENCE_BEHIND_MS = 140;
/** The longest hole that one call fills: what is longer is no audio that is late but a stream that stood still. */
const MAX_HOLE_MS = 60_000;

const silence = aacFrame(silentAacFrame(AAC_CHANNELS));

/**
 * An audio track without holes: live frames where there are any, silence everywhere else. Destinations always get audio
 * (Facebook requires it, YouTube complains), and its steady rhythm is the clock by which they switch.
 */
export class AudioLine {
  readonly #emit: (tag: FlvTag) => void;
  readonly #liveLateMs: number;
  readonly #silenceBehindMs: number;
  /** Time of the frame that comes next if nothing is missing, in milliseconds. */
  #next: number | undefined;

  /** @param batchMs milliseconds of sound that its encoder collects, by which live audio is late */
  constructor(batchMs: number, emit: (tag: FlvTag) => void) {
    this.#emit = emit;
    this.#liveLateMs = batchMs + LIVE_LATE_MS;
    this.#silenceBehindMs = batchMs + SILENCE_BEHIND_MS;
  }

  /** A live frame; one that overlaps what has been sent is dropped. */
  live(raw: Buffer, streamMs: number): void {
    if (this.#next === undefined) this.#next = Math.max(0, streamMs);
    if (streamMs < this.#next - AAC_FRAME_MS / 2) return;
    this.#silenceUntil(streamMs - AAC_FRAME_MS / 2);
    // Follows the source's clock, but never by so much that two frames share a millisecond.
    this.#send(aacFrame(raw), Math.max(streamMs, this.#next - AAC_FRAME_MS / 2));
  }

  /**
   * Fills what live audio has left out.
   *
   * @param nowMs the stream's present
   * @param liveExpected whether the stream has a microphone that may only be late
   */
  fill(nowMs: number, liveExpected: boolean): void {
    if (this.#next === undefined) {
      if (liveExpected && nowMs < this.#liveLateMs) return;
      this.#next = Math.max(0, nowMs - this.#liveLateMs);
    }
    if (this.#next < nowMs - (liveExpected ? this.#liveLateMs : 0)) this.#silenceUntil(nowMs - (liveExpected ? this.#silenceBehindMs : 0));
  }

  #silenceUntil(untilMs: number): void {
    if (untilMs - this.#next! > MAX_HOLE_MS) this.#next = untilMs - MAX_HOLE_MS;
    while (this.#next! < untilMs) this.#send(silence, this.#next!);
  }

  #send(data: Buffer, streamMs: number): void {
    this.#next = streamMs + AAC_FRAME_MS;
    this.#emit({ type: TAG_AUDIO, timestamp: Math.round(streamMs), data, keyFrame: false, sequenceHeader: false });
  }
}
