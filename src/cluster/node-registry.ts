import { EventEmitter } from 'node:events';
import { answersAt } from './node-liveness.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import {
  BEAT_MS,
  NODE_LATE_MS,
  SETTLE_MS,
  type ClusterStore,
  type LeaseRecord,
  type NodeRecord,
} from './cluster-store.ts';
import { PlacementLedger, rankNodes, type PlacementWish } from './placement.ts';
import { inBackground } from '../runtime/in-background.ts';
import { sharedRun } from '../runtime/async.ts';

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
  /** Whether the node at this URL answers; default: see `answersAt`. */
  readonly probe?: (url: string) => Promise<boolean>;
  /** Milliseconds of a monotonic clock; for tests. */
  readonly now?: () => number;
}

/** When a node was heard of, and whether it answered since. */
interface Watch {
  beat: number;
  sinceMs: number;
  askedAtMs: number;
  answers: boolean | undefined;
}

/** Milliseconds between two looks at the nodes. */
const POLL_MS = BEAT_MS / 4;
/** Owners that are remembered for the time in which Redis does not answer. */
const MAX_REMEMBERED = 10_000;

/**
 * The nodes of the cluster as a manager knows them: at most a quarter of a second older than in Redis, and the last
 * known ones without Redis.
 */
export class NodeRegistry extends EventEmitter<NodeRegistryEvents> {
  readonly #options: Required<NodeRegistryOptions>;
  readonly #ledger = new PlacementLedger();
  readonly #owners = new Map<string, string>();
  /** Nodes that could not be reached, with their last heartbeat before that. */
  readonly #unreachable = new Map<string, number>();
  #nodes: readonly NodeRecord[] = [];
  /** Nodes that have lost Redis and answer: their streams go on, and their clients still reach them. */
  readonly #detached = new Map<string, NodeRecord>();
  readonly #watched = new Map<string, Watch>();
  #timer: NodeJS.Timeout | undefined;
  /** Reads the nodes now. */
  readonly poll = sharedRun(() => this.#poll());
  readonly #unsubscribe: () => void;
  /** Before this time Redis may not know all nodes and owners yet. */
  #settledAtMs = 0;
  #closed = false;

  constructor({
    random = Math.random,
    now = () => performance.now(),
    probe = answersAt,
    ...options
  }: NodeRegistryOptions) {
    super();
    this.setMaxListeners(0);
    this.#options = { random, now, probe, ...options };
    this.#unsubscribe = options.store.onReturn(() => (this.#settledAtMs = now() + SETTLE_MS));
  }

  async start(): Promise<void> {
    await this.poll();
    this.#timer = setInterval(() => inBackground(this.poll()), POLL_MS);
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

  /** All nodes that clients may be sent to: also those that have lost Redis and answer. */
  get reachable(): readonly NodeRecord[] {
    return [...this.#nodes, ...this.#detached.values()];
  }

  /** Whether Redis answers. */
  get available(): boolean {
    return this.#options.store.available;
  }

  /** A node that clients may be sent to, also one that has lost Redis and answers. */
  find(id: string): NodeRecord | undefined {
    return this.#nodes.find((node) => node.id === id) ?? this.#detached.get(id);
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
    // A node without Redis keeps its streams, although their leases have ended.
    if (!lease && remembered !== undefined && this.#detached.has(remembered)) return this.find(remembered);
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

  /** The node has refused the stream that it was to get. */
  withdraw(id: string): void {
    this.#ledger.withdraw(id);
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
    this.#watch(nodes);
    nodes = nodes.filter(({ id }) => !this.#hangs(id));
    const known = [...this.#nodes, ...this.#detached.values()];
    for (const { id } of nodes) {
      this.#detached.delete(id);
      if (this.#timer && !known.some((one) => one.id === id))
        this.#options.logger.info({ nodeId: id }, 'a node has joined the cluster');
    }
    this.#nodes = nodes.sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const node of known) {
      const present = nodes.find(({ id }) => id === node.id);
      // Another process of the same id.
      if (present ? present.instance !== node.instance : !this.#staysDetached(node)) this.#remove(node);
    }
  }

  #remove({ id, url }: NodeRecord): void {
    this.#detached.delete(id);
    this.#options.logger.warn({ nodeId: id }, 'a node is gone');
    this.emit('gone', id, url);
  }

  /** Whether a node without a heartbeat answers. */
  #staysDetached(node: NodeRecord): boolean {
    if (this.#watched.get(node.id)?.answers !== true) return false;
    if (!this.#detached.has(node.id))
      this.#options.logger.warn(
        { nodeId: node.id },
        'a node has lost Redis; its streams go on, and it gets no new ones',
      );
    this.#detached.set(node.id, node);
    return true;
  }

  /** Asks nodes whose heartbeat is late: one that does not answer hangs, until its next heartbeat. */
  #watch(nodes: readonly NodeRecord[]): void {
    const nowMs = this.#options.now();
    const missing = [...this.#nodes, ...this.#detached.values()].filter(
      ({ id }) => !nodes.some((one) => one.id === id),
    );
    for (const { id, beat, url } of [...nodes, ...missing]) {
      const watch = this.#watched.get(id);
      if (watch?.beat !== beat) {
        this.#watched.set(id, { beat, sinceMs: nowMs, askedAtMs: 0, answers: undefined });
        continue;
      }
      if (nowMs - watch.sinceMs < NODE_LATE_MS || nowMs - watch.askedAtMs < BEAT_MS) continue;
      watch.askedAtMs = nowMs;
      inBackground(
        this.#options.probe(url).then((answers) => {
          const isNews = watch.answers !== answers;
          watch.answers = answers;
          if (isNews && !this.#closed) inBackground(this.poll());
        }),
      );
    }
    for (const id of this.#watched.keys())
      if (!nodes.some((one) => one.id === id) && !missing.some((one) => one.id === id)) this.#watched.delete(id);
  }

  #hangs(id: string): boolean {
    return this.#watched.get(id)?.answers === false;
  }

  get #settled(): boolean {
    return this.#options.now() >= this.#settledAtMs;
  }

  /** A node that has joined since the last look. */
  async #findNew(id: string): Promise<NodeRecord | undefined> {
    const node = await this.#options.store.node(id).catch(() => undefined);
    if (node) await this.poll();
    return this.#hangs(id) ? undefined : node;
  }
}

/** Nodes, and those of an earlier look that are missing now. */
const withMissing = (nodes: readonly NodeRecord[], before: readonly NodeRecord[]): NodeRecord[] => [
  ...nodes,
  ...before.filter(({ id }) => !nodes.some((node) => node.id === id)),
];
