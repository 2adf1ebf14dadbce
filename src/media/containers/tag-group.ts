import type { FlvTag } from './flv-tag.ts';

/**
 * Tags that go out together, to one destination or to a hundred. What is made of a group on the way, its bytes for one, depends on little
 * that differs between destinations, so the group keeps it for the next one that asks. A group lives for one turn of the event loop, or as
 * long as a slow destination's queue holds it.
 */
export class TagGroup {
  /** At least one. */
  readonly tags: readonly FlvTag[];
  #since: Map<number, TagGroup> | undefined;
  #made: Map<string, unknown> | undefined;

  constructor(tags: readonly FlvTag[]) {
    this.tags = tags;
  }

  /** The group with timestamps counted from `baseMs`: one for all that count from there. */
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

  /** What `make` makes of the group, made once for each `form`, which must tell all that it depends on beside the group. */
  once<Made>(form: string, make: (group: this) => Made): Made {
    this.#made ??= new Map();
    let made = this.#made.get(form) as Made | undefined;
    if (made === undefined) this.#made.set(form, (made = make(this)));
    return made;
  }
}
