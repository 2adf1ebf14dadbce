import { EventEmitter } from 'node:events';
import type { FlvTag } from '../media/containers/flv-tag.ts';
import { TagGroup } from '../media/containers/tag-group.ts';
import { tickMs } from '../runtime/tick.ts';
import { RecentTags } from './recent-tags.ts';
import type { RenditionEvents } from './rendition.ts';

/** What all renditions have in common: what they send goes to every destination, and is remembered for the next one. */
export class LiveRendition extends EventEmitter<RenditionEvents> {
  readonly #recent = new RecentTags();

  constructor() {
    super();
    this.setMaxListeners(0);
  }

  get recent(): TagGroup | undefined {
    return this.#recent.since(tickMs());
  }

  /** @param tags at least one */
  protected send(tags: readonly FlvTag[]): void {
    const group = new TagGroup(tags);
    this.#recent.add(group, tickMs());
    this.emit('tags', group);
  }

  /** What is sent next does not follow from what was sent. */
  protected startOver(): void {
    this.#recent.clear();
  }
}
