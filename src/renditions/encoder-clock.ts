/**
 * With a fixed frame rate ffmpeg repeats a frame until the next one arrives. Longer pauses are cut to this time,
 * because all repeated frames would be produced at once. Milliseconds.
 */
const LONGEST_REPEAT_MS = 2000;

/** ffmpeg's FLV muxer and demuxer use 31 bits for milliseconds: after 24.86 days its times are no longer the stream's. */
const MAX_COMPARABLE_MS = 2 ** 31 - 60_000;

/** Converts times between a stream and the ffmpeg that encodes its video, which may be started again. */
export class EncoderClock {
  readonly #cutsPauses: boolean;
  /** Frames up to this stream time are only decoded: they were sent before the encoder existed. */
  #beginAfterMs = -1;
  /** Stream times of the last frame that was given to ffmpeg, and of its last output. */
  #fedMs = 0;
  #outMs = -1;
  /** How far ffmpeg's time is behind the stream's, because of pauses that were cut. */
  #leftOutMs = 0;
  #isFed = false;

  /** @param cutsPauses the encoder has a fixed frame rate */
  constructor(cutsPauses: boolean) {
    this.#cutsPauses = cutsPauses;
  }

  /** Whether the running ffmpeg has been given a frame. */
  get isFed(): boolean {
    return this.#isFed;
  }

  get fedMs(): number {
    return this.#fedMs;
  }

  /** Outputs have the frames up to this time, in ffmpeg's time; `undefined`: a new ffmpeg cannot be told, or need not. */
  get sentMs(): number | undefined {
    const sentMs = this.#sentMs;
    return sentMs >= 0 && sentMs < MAX_COMPARABLE_MS ? sentMs : undefined;
  }

  /** Whether a new ffmpeg may get frames that were encoded before. */
  get canRepeat(): boolean {
    return this.#sentMs < 0 || this.sentMs !== undefined;
  }

  beginAfter(streamMs: number): void {
    this.#beginAfterMs = streamMs;
  }

  /** Another ffmpeg begins. */
  restart(): void {
    this.#isFed = false;
    this.#leftOutMs = 0;
  }

  /** The time of a frame that is given to ffmpeg. */
  feed(streamMs: number): number {
    if (this.#cutsPauses && this.#isFed) this.#leftOutMs += Math.max(0, streamMs - this.#fedMs - LONGEST_REPEAT_MS);
    this.#isFed = true;
    this.#fedMs = streamMs;
    return streamMs - this.#leftOutMs;
  }

  /** The time of what is given to ffmpeg between frames. */
  toEncoder(streamMs: number): number {
    return streamMs - this.#leftOutMs;
  }

  /**
   * The stream time of an output. ffmpeg's FLV muxer writes 31 bits of the time, 24.86 days, and 0 for a sequence
   * header; the output is close to the input. Time never goes back: a new ffmpeg with a constant frame rate may begin
   * slightly before its first frame.
   */
  toStream({ timestamp, sequenceHeader }: { readonly timestamp: number; readonly sequenceHeader: boolean }): number {
    this.#outMs = sequenceHeader
      ? Math.max(this.#outMs, 0)
      : Math.max(this.#fedMs + (((timestamp + this.#leftOutMs - this.#fedMs) << 1) >> 1), this.#outMs + 1);
    return this.#outMs;
  }

  /** The last frame that outputs have, or should not get. */
  get #sentMs(): number {
    return Math.max(this.#outMs, this.#beginAfterMs);
  }
}
