import type { FlvTag } from '../flv/flv-tag.ts';
import { TagGroup } from '../flv/tag-group.ts';

/**
 * For so long after a key frame a new destination begins with it instead of a new one. A publisher is not to be asked again so soon after it has
 * sent one (`key-frame-requests.ts`), and half a second that comes at once is no burden for a server.
 */
const RECENT_MS = 500;

const FIRST_BYTES = 64 * 1024;

/**
 * What has gone out since the last key frame, for destinations that come right after it. Holds half a second at most.
 *
 * It copies into memory of its own, which is used again and again. To hold the tags themselves would cost nothing here and half of the processor elsewhere: V8
 * takes what lives for half a second for something that stays, and then collects its whole heap, once a second at ten streams, to be rid of it.
 */
export class RecentTags {
  /** Their bodies, one after the other. */
  #memory = Buffer.alloc(0);
  #used = 0;
  /** Each with the place of its body's end. */
  #tags: { readonly tag: Omit<FlvTag, 'data'>; readonly end: number }[] = [];
  #keyFrameMs = -Infinity;

  add({ tags }: TagGroup, nowMs: number): void {
    if (tags.some((tag) => tag.keyFrame && !tag.sequenceHeader)) {
      this.clear();
      this.#keyFrameMs = nowMs;
    } else if (this.#tags.length === 0) return;
    if (this.#isRecent(nowMs)) tags.forEach((tag) => this.#copy(tag));
    else this.clear();
  }

  /** All of it in one group, from the one on that held the last key frame; `undefined` when that is no longer recent. */
  since(nowMs: number): TagGroup | undefined {
    if (this.#tags.length === 0 || !this.#isRecent(nowMs)) return undefined;
    const bodies = Buffer.from(this.#memory.subarray(0, this.#used));
    return new TagGroup(this.#tags.map(({ tag, end }, index) => ({ ...tag, data: bodies.subarray(this.#tags[index - 1]?.end ?? 0, end) })));
  }

  /** What comes next does not follow from what was. */
  clear(): void {
    this.#tags = [];
    this.#used = 0;
  }

  #copy({ data, ...tag }: FlvTag): void {
    const end = this.#used + data.length;
    if (end > this.#memory.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, 2 * end));
      this.#memory.copy(larger, 0, 0, this.#used);
      this.#memory = larger;
    }
    data.copy(this.#memory, this.#used);
    this.#used = end;
    this.#tags.push({ tag, end });
  }

  #isRecent(nowMs: number): boolean {
    return nowMs - this.#keyFrameMs <= RECENT_MS;
  }
}
