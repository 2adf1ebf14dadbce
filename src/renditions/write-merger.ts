import type { FlvTag } from '../media/containers/flv-tag.ts';

/** How long something may wait for the frame with which it goes out, in milliseconds: nearly two frames at 30 a second. */
const MAX_WAIT_MS = 60;
/** With so many destinations every other frame waits for the next one. */
export const MANY_DESTINATIONS = 5;

/**
 * Holds tags back until the next frame goes out: each time that anything goes out costs every destination a system call, which costs more than
 * all else that is done for it. Sound always waits, for it is late by its encoder anyway; frames only where many destinations pay.
 * SRS calls the same "merged write", and waits for 350 ms.
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
  sound(tag: FlvTag, nowMs: number, comesWithFrames: boolean): void {
    this.#wait(tag, nowMs);
    if (!comesWithFrames) this.flush();
  }

  frame(tag: FlvTag, nowMs: number, destinations: number): void {
    const intervalMs = tag.timestamp - this.#lastFrameMs;
    this.#lastFrameMs = tag.timestamp;
    // A key frame is what somebody waits for; and where frames come slowly, the next one is too far away.
    const mayWait = destinations >= MANY_DESTINATIONS && !tag.keyFrame && !this.#frameWaits && intervalMs < MAX_WAIT_MS;
    this.#wait(tag, nowMs);
    if (mayWait) this.#frameWaits = true;
    else this.flush();
  }

  /** What frames and sounds need: it waits for nothing. */
  header(tag: FlvTag, nowMs: number): void {
    this.#wait(tag, nowMs);
    this.flush();
  }

  /** Lets go of what has waited long enough; to be called regularly. */
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
