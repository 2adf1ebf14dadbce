import type { FlvTag } from '../media/containers/flv-tag.ts';

/** How long something may wait for the picture with which it goes out, in milliseconds: nearly two pictures at 30 a second. */
const MAX_WAIT_MS = 60;
/** With so many destinations every other picture waits for the next one. */
export const MANY_DESTINATIONS = 5;

/**
 * Holds tags back until the next picture goes out: each time that anything goes out costs every destination a system call, which costs more than
 * all else that is done for it. Sound always waits, for it is late by its encoder anyway; pictures only where many destinations pay.
 * SRS calls the same "merged write", and waits for 350 ms.
 */
export class WriteMerger {
  readonly #send: (tags: FlvTag[]) => void;
  #waiting: FlvTag[] = [];
  #sinceMs = 0;
  #pictureWaits = false;
  /** Timestamp of the last picture. */
  #lastPictureMs = -Infinity;

  constructor(send: (tags: FlvTag[]) => void) {
    this.#send = send;
  }

  /** @param comesWithPictures whether a picture is to be expected */
  sound(tag: FlvTag, nowMs: number, comesWithPictures: boolean): void {
    this.#wait(tag, nowMs);
    if (!comesWithPictures) this.flush();
  }

  picture(tag: FlvTag, nowMs: number, destinations: number): void {
    const intervalMs = tag.timestamp - this.#lastPictureMs;
    this.#lastPictureMs = tag.timestamp;
    // A key frame is what somebody waits for; and where pictures come slowly, the next one is too far away.
    const mayWait =
      destinations >= MANY_DESTINATIONS && !tag.keyFrame && !this.#pictureWaits && intervalMs < MAX_WAIT_MS;
    this.#wait(tag, nowMs);
    if (mayWait) this.#pictureWaits = true;
    else this.flush();
  }

  /** What pictures and sounds need: it waits for nothing. */
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
    this.#pictureWaits = false;
    this.#send(waiting);
  }

  #wait(tag: FlvTag, nowMs: number): void {
    if (this.#waiting.length === 0) this.#sinceMs = nowMs;
    this.#waiting.push(tag);
  }
}
