import type { Logger } from '../observe/logger.ts';
import { parseRecord, type PushRecord } from '../outputs/push/record/push-record.ts';
import type { ClusterStore } from './cluster-store.ts';
import { inBackground } from '../runtime/in-background.ts';
import { SerialWork } from '../runtime/async.ts';

/** Encrypts the requests, which contain stream keys. */
export interface Sealer {
  seal(text: string, context: string): string;
  /** @throws {Error} if the text was sealed with another key or in another context */
  open(sealed: string, context: string): string;
}

/** A push as another node can start it. `id`: WCS's `mediaSessionId`, which the push keeps. */
export interface StoredPush extends PushRecord {
  readonly id: string;
}

export interface StoredPushesOptions {
  readonly store: Pick<ClusterStore, 'putPush' | 'removePush' | 'pushes' | 'onReturn'>;
  /** The epoch of a name that this node owns. */
  readonly epochOf: (stream: string) => number | undefined;
  readonly box: Sealer;
  readonly logger: Logger;
}

/** Ends of a push that another node continues: this one ends, or has lost the name. */
const CONTINUED: ReadonlySet<string> = new Set([
  'SHUTTING_DOWN',
  'STREAM_NAME_IN_USE',
  'CLUSTER_UNAVAILABLE',
  'NODE_LOST',
]);

/** A push of this node. `stored`: whether Redis has it. */
interface OwnPush {
  readonly stream: string;
  readonly epoch: number;
  /** Sealed. */
  readonly text: string;
  readonly ended: boolean;
  stored: boolean;
}

/** Keeps the pushes of this node's streams in Redis, so that another node can continue them. */
export class StoredPushes {
  readonly #options: StoredPushesOptions;
  readonly #pushes = new Map<string, OwnPush>();
  readonly #unsubscribe: () => void;
  readonly #flushes = new SerialWork();

  constructor(options: StoredPushesOptions) {
    this.#options = options;
    // It may be back without its data.
    this.#unsubscribe = options.store.onReturn(() => {
      for (const push of this.#pushes.values()) push.stored = false;
    });
  }

  /** A push has been accepted: stores it. */
  started(push: StoredPush): Promise<void> {
    this.adopt(push);
    return this.flush();
  }

  /** @param reasonCode with some, another node continues the push */
  ended(id: string, reasonCode: string): void {
    const push = this.#pushes.get(id);
    if (!push || push.ended) return;
    if (CONTINUED.has(reasonCode)) return void this.#pushes.delete(id);
    this.#pushes.set(id, { ...push, ended: true, stored: false });
    inBackground(this.flush());
  }

  /** Whether this node runs the push, or removes it. */
  owns(id: string): boolean {
    return this.#pushes.has(id);
  }

  /** Whether Redis has all pushes of the stream that this node runs. */
  isStored(stream: string): boolean {
    return [...this.#pushes.values()].every((push) => push.stored || push.stream !== stream);
  }

  /** Keeps a push that this node has started or taken over. */
  adopt({ id, ...push }: StoredPush): void {
    const { epochOf, box } = this.#options;
    const stream = push.order.streamName;
    const epoch = epochOf(stream);
    if (epoch === undefined) return;
    const text = box.seal(JSON.stringify(push), contextOf(stream, id));
    this.#pushes.set(id, { stream, epoch, text, ended: false, stored: false });
  }

  /** Removes a stored push, unless it goes on under the same id. */
  replace(push: StoredPush, id: string | undefined): void {
    if (id === push.id) return;
    this.adopt(push);
    this.ended(push.id, '');
  }

  /** Writes what Redis does not have. Also to be called once a second, for the time after Redis was away. */
  flush(): Promise<void> {
    return this.#flushes.run(() => this.#flush());
  }

  /** The stored pushes of a stream. Those that cannot be read are reported and left out. */
  async read(stream: string): Promise<StoredPush[]> {
    const { store, box, logger } = this.#options;
    const found: StoredPush[] = [];
    for (const [id, sealed] of await store.pushes(stream))
      try {
        found.push({ id, ...parseRecord(box.open(sealed, contextOf(stream, id))) });
      } catch (error) {
        logger.error({ streamName: stream, mediaSessionId: id, err: error }, 'a stored push cannot be read');
      }
    return found;
  }

  /** Idempotent. */
  close(): void {
    this.#unsubscribe();
  }

  async #flush(): Promise<void> {
    const due = [...this.#pushes].filter(([, push]) => !push.stored);
    await Promise.all(due.map(([id, push]) => this.#write(id, push)));
  }

  async #write(id: string, push: OwnPush): Promise<void> {
    const { store } = this.#options;
    const { stream, epoch, text, ended } = push;
    let isOurs;
    try {
      isOurs = ended ? await store.removePush(stream, epoch, id) : await store.putPush(stream, epoch, id, text);
    } catch {
      return; // Redis is away.
    }
    push.stored = true;
    // What has ended meanwhile is written next.
    if ((ended || !isOurs) && this.#pushes.get(id) === push) this.#pushes.delete(id);
  }
}

const contextOf = (stream: string, id: string): string => `cluster-push ${stream} ${id}`;
