/** The keys of the cluster in Redis. Pure. */

/**
 * The part in braces decides the slot in Redis Cluster, so that a script may use all keys of one stream. The name is
 * percent-encoded, because it may contain braces.
 */
const tag = (name: string): string => `{${encodeURIComponent(name.toWellFormed())}}`;

export class RedisKeys {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  lease(stream: string): string {
    return `${this.#prefix}stream:${tag(stream)}`;
  }

  epoch(stream: string): string {
    return `${this.#prefix}epoch:${tag(stream)}`;
  }

  pushes(stream: string): string {
    return `${this.#prefix}push:${tag(stream)}`;
  }

  /** Its lease, its epoch and its pushes, which are in one slot. */
  ofStream(stream: string): [lease: string, epoch: string, pushes: string] {
    return [this.lease(stream), this.epoch(stream), this.pushes(stream)];
  }

  /** What its node offers to the others. */
  offer(stream: string): string {
    return `${this.#prefix}offer:${tag(stream)}`;
  }

  /** The node that has accepted the offer. */
  accepted(stream: string): string {
    return `${this.#prefix}accepted:${tag(stream)}`;
  }

  /** A value that is kept from its first use on. */
  first(key: string): string {
    return `${this.#prefix}first:${tag(key)}`;
  }

  /** A text that is kept for a time. */
  note(key: string): string {
    return `${this.#prefix}note:${tag(key)}`;
  }

  node(id: string): string {
    return `${this.#prefix}node:${tag(id)}`;
  }

  /** Ids of nodes, by the time of their last heartbeat. */
  get nodeIndex(): string {
    return `${this.#prefix}nodes`;
  }

  /** Ids of managers, by the time of their last look. */
  get managerIndex(): string {
    return `${this.#prefix}managers`;
  }

  /** Streams with stored pushes, by the time of the last renewal of their lease. */
  get pushIndex(): string {
    return `${this.#prefix}pushed`;
  }

  /** A shared log: its head, its entries and its snapshot, which are in one slot. */
  ofLog(name: string): [head: string, entries: string, snapshot: string] {
    const key = (part: string): string => `${this.#prefix}${part}:${tag(name)}`;
    return [key('log'), key('log-entries'), key('log-snapshot')];
  }

  /** The channel on which the entries of a log are published. */
  logChannel(name: string): string {
    return `${this.#prefix}log:${tag(name)}`;
  }

  /** Names of logs, by the time at which they expire. */
  get logIndex(): string {
    return `${this.#prefix}logs`;
  }

  /** Records of the whole cluster, which do not expire. */
  records(namespace: string): string {
    return `${this.#prefix}records:${tag(namespace)}`;
  }

  /** Streams that are offered, by the time of their first offer. */
  get offerIndex(): string {
    return `${this.#prefix}offers`;
  }
}
