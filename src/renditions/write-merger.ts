import type { FlvTag } from '../media/containers/flv-tag.ts';

/** How long audio may wait for the frame with which it is sent, in milliseconds: nearly two frames at 30 frames per second. */
const MAX_WAIT_MS = 60;

/**
 * Holds audio back until the next frame is sent: each write costs one system call per destination, which is more than
 * all other work for it. The audio encoder delays audio by more than that anyway. Frames never wait.
 */
export class WriteMerger {
  readonly #send: (tags: FlvTag[]) => void;
  #waiting: FlvTag[] = [];
  #sinceMs = 0;

  constructor(send: (tags: FlvTag[]) => void) {
    this.#send = send;
  }

  /** @param comesWithFrames whether a frame is to be expected */
  audio(tag: FlvTag, nowMs: number, comesWithFrames: boolean): void {
    if (this.#waiting.length === 0) this.#sinceMs = nowMs;
    this.#waiting.push(tag);
    if (!comesWithFrames) this.flush();
  }

  /** Sends a frame or a sequence header at once, after the audio that waits. */
  video(tag: FlvTag): void {
    this.#waiting.push(tag);
    this.flush();
  }

  /** Sends what has waited long enough; called regularly. */
  tick(nowMs: number): void {
    if (nowMs - this.#sinceMs >= MAX_WAIT_MS) this.flush();
  }

  flush(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    this.#send(waiting);
  }
}
