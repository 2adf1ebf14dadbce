import { EventEmitter } from 'node:events';
import type { FlvTag } from '../media/containers/flv-tag.ts';
import { TagGroup } from '../media/containers/tag-group.ts';
import { atEndOfTick, tickMs } from '../runtime/tick.ts';
import type { MediaSource } from './media-source.ts';
import { RecentTags } from './recent-tags.ts';
import type { RenditionEvents } from './rendition.ts';

/**
 * What all renditions have in common: they pass on the audio of their source, send groups of tags to all outputs, and
 * keep recent ones for the next output.
 */
export class LiveRendition extends EventEmitter<RenditionEvents> {
  protected readonly source: MediaSource;
  readonly #recent = new RecentTags();
  /** Tags that are sent at the end of this tick. */
  #outgoing: FlvTag[] = [];

  constructor(source: MediaSource) {
    super();
    this.source = source;
    this.setMaxListeners(0);
  }

  get audioHeader(): FlvTag | undefined {
    return this.source.audioHeader;
  }

  get hasVideo(): boolean {
    return this.source.videoCodec !== undefined;
  }

  get recent(): TagGroup | undefined {
    return this.#recent.since(tickMs());
  }

  /** Sends all tags of one event-loop tick as one group: after a stall of the network there may be many frames. */
  protected collect(tags: readonly FlvTag[]): void {
    if (this.#outgoing.length === 0) atEndOfTick(this.#release);
    this.#outgoing.push(...tags);
  }

  /** @param tags at least one */
  protected send(tags: readonly FlvTag[]): void {
    this.sendGroup(new TagGroup(tags));
  }

  protected sendGroup(group: TagGroup): void {
    this.#recent.add(group, tickMs());
    if (group.tags.some((tag) => tag.sequenceHeader)) this.emit('format');
    this.emit('tags', group);
  }

  /** What is sent next does not refer to what was sent. */
  protected startOver(): void {
    this.#release();
    this.#recent.clear();
  }

  /** Nothing is sent any more. */
  protected discard(): void {
    this.#outgoing = [];
  }

  readonly #release = (): void => {
    const tags = this.#outgoing;
    this.#outgoing = [];
    if (tags.length > 0) this.send(tags);
  };
}
