import { describeEvent, type EventLevel, type SourceEvent } from './describe-event.ts';

/** One thing that has happened, as the console shows it. */
export interface TimelineEvent {
  /** Greater than that of every earlier event of this process. */
  readonly id: number;
  readonly at: string;
  readonly type: string;
  readonly level: EventLevel;
  readonly text: string;
  readonly stream?: string;
  readonly room?: string;
  /** The push or the recording. */
  readonly subject?: string;
}

/** The latest events, the oldest first. */
export class Timeline {
  readonly #kept: number;
  #events: TimelineEvent[] = [];
  #lastId = 0;

  constructor(kept = 500) {
    this.#kept = kept;
  }

  add(event: SourceEvent): TimelineEvent {
    const { stream, room, id } = event.data;
    const added = {
      id: ++this.#lastId,
      at: event.timestamp,
      type: event.type,
      ...describeEvent(event),
      ...(typeof stream === 'string' && { stream }),
      ...(typeof room === 'string' && { room }),
      ...(typeof id === 'string' && { subject: id }),
    };
    this.#events.push(added);
    // Not one by one: that would move all of them each time.
    if (this.#events.length >= 2 * this.#kept) this.#events = this.#events.slice(-this.#kept);
    return added;
  }

  after(id: number): TimelineEvent[] {
    return this.#events.slice(-this.#kept).filter((event) => event.id > id);
  }
}
