import type { FlvTag } from '../media/containers/flv-tag.ts';

/**
 * How long a tag may wait for the frame with which it is sent, in milliseconds: nearly two frames at 30 frames per
 * second.
 */
const MAX_WAIT_MS = 60;
/** From this number of destinations on, every other frame waits for the next one. */
export const MANY_DESTINATIONS = 5;

/**
 * Holds tags back until the next frame is sent. Each write costs one system call per destination, which is more than
 * all other work for it. Audio always waits, since its encoder delays it anyway; frames wait only if there are many
 * destinations. SRS calls this "merged write" and waits for 350 ms.
 */
export class WriteMerger {
  readonly #send: (tags: FlvTag[]) => void;
  #waiting: FlvTag[] = [];
  #sinceMs = 0;
  #frameWaits = false;
  /** Timestamp of the last frame. */
  #lastFrameMs = -Infinity;

  constructor(send: (tags: FlvTag[]) => void) {
    this.#send = send;
  }

  /** @param comesWithFrames whether a frame is to be expected */
  audio(tag: FlvTag, nowMs: number, comesWithFrames: boolean): void {
    this.#wait(tag, nowMs);
    if (!comesWithFrames) this.flush();
  }

  frame(tag: FlvTag, nowMs: number, destinations: number): void {
    const intervalMs = tag.timestamp - this.#lastFrameMs;
    this.#lastFrameMs = tag.timestamp;
    // New destinations wait for key frames; and at a low frame rate the next frame is too far away.
    const mayWait = destinations >= MANY_DESTINATIONS && !tag.keyFrame && !this.#frameWaits && intervalMs < MAX_WAIT_MS;
    this.#wait(tag, nowMs);
    if (mayWait) this.#frameWaits = true;
    else this.flush();
  }

  /** A sequence header is sent at once, with what waits before it. */
  header(tag: FlvTag, nowMs: number): void {
    this.#wait(tag, nowMs);
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
    this.#frameWaits = false;
    this.#send(waiting);
  }

  #wait(tag: FlvTag, nowMs: number): void {
    if (this.#waiting.length === 0) this.#sinceMs = nowMs;
    this.#waiting.push(tag);
  }
}
