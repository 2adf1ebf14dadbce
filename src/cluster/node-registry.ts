import { EventEmitter } from 'node:events';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { BEAT_MS, SETTLE_MS, type ClusterStore, type LeaseRecord, type NodeRecord } from './cluster-store.ts';
import { PlacementLedger, rankNodes, type PlacementWish } from './placement.ts';

export interface NodeRegistryEvents {
  /** The node has left, was killed, or hangs. */
  gone: [id: string, url: string];
}

export interface NodeRegistryOptions {
  readonly store: ClusterStore;
  /** Of this manager. */
  readonly managerId: string;
  readonly logger: Logger;
  readonly random?: () => number;
  /** Milliseconds of a monotonic clock; for tests. */
  readonly now?: () => number;
}

/** Milliseconds between two looks at the nodes. */
const POLL_MS = BEAT_MS / 4;
/** Owners that are remembered for the time in which Redis does not answer. */
const MAX_REMEMBERED = 10_000;

/** The nodes of the cluster as a manager knows them: at most a quarter of a second older than in Redis, and the last known ones without Redis. */
export class NodeRegistry extends EventEmitter<NodeRegistryEvents> {
  readonly #options: Required<NodeRegistryOptions>;
  readonly #ledger = new PlacementLedger();
  readonly #owners = new Map<string, string>();
  /** Nodes that could not be reached, with their last heartbeat before that. */
  readonly #unreachable = new Map<string, number>();
  #nodes: readonly NodeRecord[] = [];
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  readonly #unsubscribe: () => void;
  /** Before this time Redis may not know all nodes and owners yet. */
  #settledAtMs = 0;
  #closed = false;

  constructor({ random = Math.random, now = () => performance.now(), ...options }: NodeRegistryOptions) {
    super();
    this.setMaxListeners(0);
    this.#options = { random, now, ...options };
    this.#unsubscribe = options.store.onReturn(() => (this.#settledAtMs = now() + SETTLE_MS));
  }

  async start(): Promise<void> {
    await this.poll();
    this.#timer = setInterval(() => void this.poll(), POLL_MS);
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    clearInterval(this.#timer);
  }

  get nodes(): readonly NodeRecord[] {
    return this.#nodes;
  }

  /** Whether Redis answers. */
  get available(): boolean {
    return this.#options.store.available;
  }

  find(id: string): NodeRecord | undefined {
    return this.#nodes.find((node) => node.id === id);
  }

  /** Nothing listens at the node: until its next heartbeat it gets nothing, and its streams may be taken over. */
  unreachable(id: string): void {
    const node = this.find(id);
    if (node) this.#unreachable.set(id, node.beat);
  }

  #isReachable({ id, beat }: NodeRecord): boolean {
    const lastBeat = this.#unreachable.get(id);
    if (lastBeat === undefined || lastBeat === beat) return lastBeat === undefined;
    this.#unreachable.delete(id);
    return true;
  }

  /** @throws {GatewayError} NODE_NOT_FOUND */
  get(id: string): NodeRecord {
    const node = this.find(id);
    if (node) return node;
    throw new GatewayError(
      'NODE_NOT_FOUND',
      'There is no such node in the cluster: it has ended, or its id is misspelt. GET /api/v1/nodes lists the nodes.',
    );
  }

  /**
   * The node that owns the stream; `undefined` if none does, or its owner is gone. Without Redis it is the last known
   * one, which itself knows whether that is still true.
   *
   * @throws {GatewayError} CLUSTER_UNAVAILABLE if Redis does not answer and no owner is known
   */
  async owner(stream: string): Promise<NodeRecord | undefined> {
    let lease: LeaseRecord | undefined;
    try {
      lease = await this.#options.store.owner(stream);
    } catch (error) {
      const remembered = this.find(this.#owners.get(stream) ?? '');
      if (remembered) return remembered;
      throw new GatewayError(
        'CLUSTER_UNAVAILABLE',
        'Redis does not answer, so the node of this stream is not known. Try again in some seconds.',
        { cause: error },
      );
    }
    const remembered = this.#owners.get(stream);
    if (!lease && !this.#settled && remembered !== undefined) return this.find(remembered);
    this.#owners.delete(stream);
    if (!lease) return undefined;
    this.#owners.set(stream, lease.node);
    if (this.#owners.size > MAX_REMEMBERED) this.#owners.delete(this.#owners.keys().next().value!);
    const owner = this.find(lease.node) ?? (await this.#findNew(lease.node));
    return owner && this.#isReachable(owner) ? owner : undefined;
  }

  /** The nodes for a new stream, the best one first. */
  rank(wish: PlacementWish = {}): NodeRecord[] {
    const reachable = this.#nodes.filter((node) => this.#isReachable(node));
    return rankNodes(this.#ledger.adjust(reachable), wish, this.#options.random);
  }

  /**
   * The node for a new stream.
   *
   * @throws {GatewayError} CLUSTER_UNAVAILABLE if there is none
   */
  place(wish: PlacementWish = {}): NodeRecord {
    const [best] = this.rank(wish);
    if (!best)
      throw new GatewayError(
        'CLUSTER_UNAVAILABLE',
        'No node can take a new stream: all are full, draining or gone. Try again in some seconds, or start more nodes.',
      );
    this.#ledger.placed(best);
    return this.find(best.id) ?? best;
  }

  /** Reads the nodes now. */
  poll(): Promise<void> {
    this.#polling ??= this.#poll().finally(() => (this.#polling = undefined));
    return this.#polling;
  }

  async #poll(): Promise<void> {
    let nodes;
    try {
      const { store, managerId } = this.#options;
      const answers = await Promise.all([store.nodes(), store.countManagers(managerId)]);
      [nodes, this.#ledger.managers] = answers;
    } catch {
      return;
    }
    if (this.#closed) return;
    if (!this.#settled) nodes = withMissing(nodes, this.#nodes);
    const instances = new Set(nodes.map(({ id, instance }) => `${id} ${instance}`));
    const gone = this.#nodes.filter(({ id, instance }) => !instances.has(`${id} ${instance}`));
    for (const { id } of nodes)
      if (this.#timer && !this.find(id)) this.#options.logger.info({ nodeId: id }, 'a node has joined the cluster');
    this.#nodes = nodes.sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const { id, url } of gone) {
      this.#options.logger.warn({ nodeId: id }, 'a node is gone');
      this.emit('gone', id, url);
    }
  }

  get #settled(): boolean {
    return this.#options.now() >= this.#settledAtMs;
  }

  /** A node that has joined since the last look. */
  async #findNew(id: string): Promise<NodeRecord | undefined> {
    const node = await this.#options.store.node(id).catch(() => undefined);
    if (node) await this.poll();
    return node;
  }
}

/** Nodes, and those of an earlier look that are missing now. */
const withMissing = (nodes: readonly NodeRecord[], before: readonly NodeRecord[]): NodeRecord[] => [
  ...nodes,
  ...before.filter(({ id }) => !nodes.some((node) => node.id === id)),
];
