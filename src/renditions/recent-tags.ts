import type { FlvTag } from '../media/containers/flv-tag.ts';
import { TagGroup } from '../media/containers/tag-group.ts';
import { KeptBytes } from '../runtime/kept-bytes.ts';

/**
 * For this time after a key frame, a new destination starts with it. The publisher should not be asked for another one
 * so soon (`key-frame-requests.ts`), and servers accept half a second of media at once. Milliseconds.
 */
export const RECENT_MS = 500;

const NO_BODY = Buffer.alloc(0);

/** The tags since the last key frame, for destinations that connect right after it. Contains half a second at most. */
export class RecentTags {
  readonly #bodies = new KeptBytes();
  /** Without their bodies. */
  #tags: FlvTag[] = [];
  #keyFrameMs = -Infinity;

  add({ tags }: TagGroup, nowMs: number): void {
    if (tags.some((tag) => tag.keyFrame && !tag.sequenceHeader)) {
      this.clear();
      this.#keyFrameMs = nowMs;
    } else if (this.#tags.length === 0) return;
    if (!this.#isRecent(nowMs)) return this.clear();
    for (const tag of tags) {
      this.#bodies.push(tag.data);
      this.#tags.push({ ...tag, data: NO_BODY });
    }
  }

  /**
   * All tags in one group, starting with the group that contained the last key frame; `undefined` if that is no longer
   * recent.
   */
  since(nowMs: number): TagGroup | undefined {
    if (this.#tags.length === 0 || !this.#isRecent(nowMs)) return undefined;
    const bodies = this.#bodies.copies();
    return new TagGroup(this.#tags.map((tag, index) => ({ ...tag, data: bodies[index]! })));
  }

  /** What follows does not refer to what was added. */
  clear(): void {
    this.#tags = [];
    this.#bodies.clear();
  }

  #isRecent(nowMs: number): boolean {
    return nowMs - this.#keyFrameMs <= RECENT_MS;
  }
}
