import { TAG_AUDIO, type FlvTag } from '../../media/containers/flv-tag.ts';
import type { AudioFormat } from '../audio-format.ts';

/** How far silence stays behind the present, so that live audio, which its encoder delays, still fits. Milliseconds. */
export const AUDIO_BEHIND_MS = 200;
/**
 * A live rendition fills its holes with silence itself, which takes longer than this only if it is about to fail.
 * Milliseconds.
 */
const LIVE_LATE_MS = 2000;
/** The longest hole that is filled: a longer one means that the gateway stood still. Milliseconds. */
const MAX_HOLE_MS = 10_000;

/** The audio of a continuous rendition: live frames where there are any, otherwise silence, without holes or overlaps. */
export class AudioSplice {
  readonly #frameMs: number;
  readonly #bodyMs: AudioFormat['bodyMs'];
  readonly #silent: FlvTag;
  readonly #emit: (tag: FlvTag) => void;
  /** When the next frame is due if nothing is missing, in milliseconds of the output. */
  #nextMs: number | undefined;
  #liveAtMs: number;

  /** @param nowMs live audio may take some time to begin */
  constructor(
    { frameMs, bodyMs, silence }: Pick<AudioFormat, 'frameMs' | 'bodyMs' | 'silence'>,
    emit: (tag: FlvTag) => void,
    nowMs: number,
  ) {
    this.#frameMs = frameMs;
    this.#bodyMs = bodyMs;
    this.#silent = { type: TAG_AUDIO, timestamp: -1, data: silence, keyFrame: false, sequenceHeader: false };
    this.#emit = emit;
    this.#liveAtMs = nowMs;
  }

  /** Live audio that follows replaces silence again. */
  expectSilence(): void {
    this.#liveAtMs = -Infinity;
  }

  /** @param outMs the time of the frame in the output */
  live(tag: FlvTag, outMs: number, nowMs: number): void {
    this.#liveAtMs = nowMs;
    this.#nextMs ??= Math.max(outMs, 0);
    if (outMs < 0 || outMs < this.#nextMs - this.#frameMs / 2) return;
    this.#silenceUntil(outMs - this.#frameMs / 2);
    this.#send(tag, outMs);
  }

  /**
   * Fills what is missing.
   *
   * @param outMs the present of the output
   */
  fill(outMs: number, nowMs: number): void {
    if (nowMs - this.#liveAtMs < LIVE_LATE_MS) return;
    const untilMs = outMs - AUDIO_BEHIND_MS;
    this.#nextMs ??= Math.max(untilMs, 0);
    this.#silenceUntil(untilMs);
  }

  #silenceUntil(untilMs: number): void {
    if (untilMs - this.#nextMs! > MAX_HOLE_MS) this.#nextMs = untilMs;
    while (this.#nextMs! < untilMs) this.#send(this.#silent, this.#nextMs!);
  }

  #send(tag: FlvTag, outMs: number): void {
    this.#nextMs = outMs + (this.#bodyMs?.(tag.data) ?? this.#frameMs);
    const timestamp = Math.round(outMs);
    this.#emit(tag.timestamp === timestamp ? tag : { ...tag, timestamp });
  }
}
