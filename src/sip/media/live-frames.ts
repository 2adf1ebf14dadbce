/** Audio that waits before it is played, and again after a gap: streams are encoded in batches. */
const START_MS = 160;
/** More than this is old: the oldest is left out, down to the start. */
const MOST_MS = 600;

export interface LiveFrame {
  readonly payload: Buffer;
  readonly ms: number;
}

/** The audio of a stream on its way to a peer. Pure. */
export class LiveFrames {
  readonly #frames: LiveFrame[] = [];
  #queuedMs = 0;
  #isPlaying = false;

  push(frame: LiveFrame): void {
    this.#frames.push(frame);
    this.#queuedMs += frame.ms;
    if (this.#queuedMs > MOST_MS) while (this.#queuedMs > START_MS) this.#shift();
  }

  /** The next frame; nothing while too few wait. */
  take(): LiveFrame | undefined {
    if (!this.#isPlaying && this.#queuedMs < START_MS) return undefined;
    const frame = this.#shift();
    this.#isPlaying = frame !== undefined;
    return frame;
  }

  #shift(): LiveFrame | undefined {
    const frame = this.#frames.shift();
    this.#queuedMs -= frame?.ms ?? 0;
    return frame;
  }
}
