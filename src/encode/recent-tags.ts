import type { TagGroup } from '../flv/tag-group.ts';

/**
 * For so long after a key frame a new destination begins with it instead of a new one. A publisher is not to be asked again so soon after it has
 * sent one (`key-frame-requests.ts`), and half a second that comes at once is no burden for a server.
 */
const RECENT_MS = 500;

/** What has gone out since the last key frame, for destinations that come right after it. Holds half a second at most. */
export class RecentTags {
  #groups: TagGroup[] = [];
  #keyFrameMs = -Infinity;

  add(group: TagGroup, nowMs: number): void {
    if (group.tags.some((tag) => tag.keyFrame && !tag.sequenceHeader)) {
      this.#groups = [group];
      this.#keyFrameMs = nowMs;
    } else if (this.#groups.length > 0) {
      if (this.#isRecent(nowMs)) this.#groups.push(group);
      else this.#groups = [];
    }
  }

  /** From the group on that holds the last key frame; empty when that is no longer recent. */
  since(nowMs: number): readonly TagGroup[] {
    return this.#isRecent(nowMs) ? this.#groups : [];
  }

  /** What comes next does not follow from what was. */
  clear(): void {
    this.#groups = [];
  }

  #isRecent(nowMs: number): boolean {
    return nowMs - this.#keyFrameMs <= RECENT_MS;
  }
}
