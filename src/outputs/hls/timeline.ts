import type { TagGroup } from '../../media/containers/tag-group.ts';

/** Renditions may begin this much before the first one, in milliseconds: an encoder is behind, but never as much. */
const LEAD_MS = 10_000;

/** The clock that all renditions of a stream share in their playlists, so that players can change between them. */
export class Timeline {
  #originMs: number | undefined;
  #anchor: number | undefined;

  /** Tags with the times of this clock. `baseMs` is the stream time at which their timestamps are 0. */
  place(group: TagGroup, baseMs: number): TagGroup {
    this.#originMs ??= baseMs - LEAD_MS;
    return group.since(this.#originMs - baseMs);
  }

  /** Milliseconds since 1970 of a time on this clock. The first call says that it is now. */
  dateOf(timeMs: number, nowMs: number): number {
    this.#anchor ??= nowMs - timeMs;
    return this.#anchor + timeMs;
  }
}
