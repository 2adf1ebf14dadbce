import type { FlvTag } from '../media/containers/flv-tag.ts';
import { TagGroup } from '../media/containers/tag-group.ts';
import { KeptBytes } from '../runtime/kept-bytes.ts';

/**
 * For so long after a key frame a new destination begins with it instead of a new one. A publisher is not to be asked again so soon after it has
 * sent one (`key-frame-requests.ts`), and half a second that comes at once is no burden for a server.
 */
const RECENT_MS = 500;

const NO_BODY = Buffer.alloc(0);

/** What has gone out since the last key frame, for destinations that come right after it. Holds half a second at most. */
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

  /** All of it in one group, from the one on that held the last key frame; `undefined` when that is no longer recent. */
  since(nowMs: number): TagGroup | undefined {
    if (this.#tags.length === 0 || !this.#isRecent(nowMs)) return undefined;
    const bodies = this.#bodies.copies();
    return new TagGroup(this.#tags.map((tag, index) => ({ ...tag, data: bodies[index]! })));
  }

  /** What comes next does not follow from what was. */
  clear(): void {
    this.#tags = [];
    this.#bodies.clear();
  }

  #isRecent(nowMs: number): boolean {
    return nowMs - this.#keyFrameMs <= RECENT_MS;
  }
}
