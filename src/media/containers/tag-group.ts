import type { FlvTag } from './flv-tag.ts';

/**
 * Tags that are sent together, to any number of destinations. Derived forms, such as the bytes for the wire, are mostly
 * equal for all destinations, so the group caches them. A group lives for one event-loop tick, or as long as a slow
 * destination's queue holds it.
 */
export class TagGroup {
  /** At least one. */
  readonly tags: readonly FlvTag[];
  #since: Map<number, TagGroup> | undefined;
  #made: Map<string, unknown> | undefined;

  constructor(tags: readonly FlvTag[]) {
    this.tags = tags;
  }

  /** The group with timestamps relative to `baseMs`, created once for each value. */
  since(baseMs: number): TagGroup {
    if (baseMs === 0) return this;
    this.#since ??= new Map();
    let group = this.#since.get(baseMs);
    if (!group)
      this.#since.set(
        baseMs,
        (group = new TagGroup(this.tags.map((tag) => ({ ...tag, timestamp: tag.timestamp - baseMs })))),
      );
    return group;
  }

  /** The result of `make`, created once for each `form`. Apart from the group, it may depend only on `form`. */
  once<Made>(form: string, make: (group: this) => Made): Made {
    this.#made ??= new Map();
    let made = this.#made.get(form) as Made | undefined;
    if (made === undefined) this.#made.set(form, (made = make(this)));
    return made;
  }
}
