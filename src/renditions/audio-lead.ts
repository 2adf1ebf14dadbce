import type { FlvTag } from '../media/containers/flv-tag.ts';
import { VIDEO_PATIENCE_MS } from './rendition.ts';

/** Usual delay of an encoder: audio that is ahead by less need not wait. Milliseconds. */
const USUAL_MS = 500;

/**
 * Audio that has come while a video encoder was starting. The encoder then makes up for the frames of that time, and
 * outputs, which begin with the first one, get the audio beside them.
 */
export class AudioLead {
  #tags: FlvTag[] = [];
  /** Stream time of the latest frame. */
  #framesMs: number | undefined;

  /** @returns whether the tag waits */
  add(tag: FlvTag): boolean {
    const first = this.#tags[0]?.timestamp ?? tag.timestamp;
    if (tag.timestamp - first > VIDEO_PATIENCE_MS) return false;
    this.#tags.push(tag);
    return true;
  }

  /** Whether the frames are as close to the audio as usual. */
  get isCaughtUp(): boolean {
    const last = this.#tags.at(-1)?.timestamp ?? -Infinity;
    return this.#framesMs !== undefined && last - this.#framesMs < USUAL_MS;
  }

  /** @returns the tags of a video encoder, and the audio up to the last frame among them */
  join(video: readonly FlvTag[]): readonly FlvTag[] {
    const last = video.findLast((tag) => !tag.sequenceHeader);
    if (!last) return video;
    this.#framesMs = last.timestamp;
    const isDue = (tag: FlvTag): boolean => tag.timestamp <= last.timestamp;
    const due = this.#tags.filter(isDue);
    this.#tags = this.#tags.filter((tag) => !isDue(tag));
    // The sort is stable: a frame precedes audio of its time, because outputs begin with a frame.
    return [...video, ...due].toSorted((a, b) => a.timestamp - b.timestamp);
  }

  /** All that waits; it waits no longer. */
  all(): readonly FlvTag[] {
    const tags = this.#tags;
    this.#tags = [];
    return tags;
  }
}
