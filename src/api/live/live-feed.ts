import { randomBytes } from 'node:crypto';
import { inBackground } from '../../runtime/in-background.ts';
import type { LiveStream, PublisherMetrics } from '../../streams/live-stream.ts';
import type { SourceEvent } from './describe-event.ts';
import { liveItems, PUSH_NUMBERS, STREAM_NUMBERS, type LiveItem, type LiveSources } from './live-items.ts';
import { Timeline, type TimelineEvent } from './timeline.ts';

/** One client of the feed. */
export interface Subscriber {
  /** Whether it may see what belongs to the stream; `undefined`: to no stream. */
  readonly sees: (stream: string | undefined) => boolean;
  /** Events only, without streams and pushes. */
  readonly eventsOnly: boolean;
  readonly send: (message: FeedMessage) => void;
}

export interface FeedMessage {
  readonly event: 'snapshot' | 'change' | 'event';
  /** Of the last event before: a client resumes after it. */
  readonly id: string;
  readonly data: object;
}

interface Known {
  readonly item: LiveItem;
  readonly text: string;
}

export interface LiveFeedOptions extends LiveSources {
  /** Milliseconds between two looks for changes. */
  readonly intervalMs?: number;
}

const INTERVAL_MS = 1000;
/** The counters of publishers come from the media workers. */
const METRICS_EVERY = 2;

/** What happens in the gateway, for clients that follow it. Without one it costs nothing but the list of events. */
export class LiveFeed {
  readonly #options: LiveFeedOptions;
  /** Another one for each process: ids of another one mean nothing. */
  readonly #epoch = randomBytes(6).toString('hex');
  readonly #timeline = new Timeline();
  readonly #subscribers = new Set<Subscriber>();
  #known = new Map<string, Known>();
  #metrics = new WeakMap<LiveStream, PublisherMetrics>();
  #isReading = false;
  #lastId = 0;
  #ticks = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LiveFeedOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#subscribers.size;
  }

  /** Something has happened. */
  add(source: SourceEvent): void {
    const event = this.#timeline.add(source);
    this.#lastId = event.id;
    for (const subscriber of [...this.#subscribers])
      if (subscriber.sees(streamOf(event))) subscriber.send(this.#message('event', event));
  }

  /**
   * @param lastId from the last message of an earlier connection: its events are not sent again
   * @returns the function that ends it
   */
  subscribe(subscriber: Subscriber, lastId = ''): () => void {
    // What the others know is compared with later; a new one gets the present.
    if (this.#subscribers.size === 0) this.#known = this.#look();
    this.#subscribers.add(subscriber);
    this.#timer ??= setInterval(() => this.#tick(), this.#options.intervalMs ?? INTERVAL_MS);
    const [epoch, id] = lastId.split('-');
    const resumesAt = epoch === this.#epoch ? Number(id) || 0 : 0;
    const timeline = this.#timeline.after(resumesAt).filter((event) => subscriber.sees(streamOf(event)));
    const items = subscriber.eventsOnly
      ? []
      : [...this.#known.values()].map(({ item }) => item).filter(({ stream }) => subscriber.sees(stream));
    subscriber.send(
      this.#message('snapshot', {
        epoch: this.#epoch,
        resumed: resumesAt > 0,
        names: { stream: STREAM_NUMBERS, push: PUSH_NUMBERS },
        items: items.map(whole),
        timeline,
      }),
    );
    return () => {
      this.#subscribers.delete(subscriber);
      if (this.#subscribers.size === 0) this.close();
    };
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    if (this.#ticks++ % METRICS_EVERY === 0) inBackground(this.#readMetrics());
    const before = this.#known;
    const now = this.#look();
    this.#known = now;
    const changed = [...now].flatMap(([id, { item, text }]) => {
      const old = before.get(id);
      if (old?.text === text && old.item.numbers.every((value, index) => value === item.numbers[index])) return [];
      const { kind, key, numbers } = item;
      return [{ stream: item.stream, data: old?.text === text ? { kind, key, numbers } : whole(item) }];
    });
    const gone = [...before].flatMap(([id, { item }]) => (now.has(id) ? [] : [item]));
    if (changed.length + gone.length === 0) return;
    for (const { sees, eventsOnly, send } of [...this.#subscribers]) {
      if (eventsOnly) continue;
      const items = changed.filter(({ stream }) => sees(stream)).map(({ data }) => data);
      const ended = gone.filter(({ stream }) => sees(stream)).map(({ kind, key }) => ({ kind, key }));
      if (items.length + ended.length > 0) send(this.#message('change', { items, gone: ended }));
    }
  }

  #look(): Map<string, Known> {
    const items = liveItems(this.#options, (stream) => (stream.publisher ? this.#metrics.get(stream) : undefined));
    return new Map(items.map((item) => [`${item.kind} ${item.key}`, { item, text: JSON.stringify(item.fields) }]));
  }

  async #readMetrics(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      const read = async (stream: LiveStream): Promise<void> => {
        const metrics = await stream.publisher?.metrics?.().catch(() => undefined);
        if (metrics) this.#metrics.set(stream, metrics);
      };
      await Promise.all(this.#options.registry.list().map(read));
    } finally {
      this.#isReading = false;
    }
  }

  #message(event: FeedMessage['event'], data: object): FeedMessage {
    return { event, id: `${this.#epoch}-${this.#lastId}`, data };
  }
}

const whole = ({ kind, key, fields, numbers }: LiveItem) => ({ kind, key, fields, numbers });
const streamOf = ({ stream }: TimelineEvent): string | undefined => stream;
