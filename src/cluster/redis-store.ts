import { EventEmitter } from 'node:events';
import type { ZodType } from 'zod';
import type { Logger } from '../observe/logger.ts';
import type { KeptRecords } from '../store/store.ts';
import {
  EPOCH_TTL_MS,
  NODE_TTL_MS,
  OFFER_TTL_MS,
  PUSH_TTL_MS,
  type AbandonedStream,
  type ClaimAnswer,
  type ClaimOptions,
  type ClusterStore,
  type HoldAnswer,
  type LeaseRecord,
  type NodeIdentity,
  type NodeRecord,
  type Offer,
  type OfferAnswer,
  type OfferedStream,
} from './cluster-store.ts';
import { decodeLease, decodeNode, decodeOffer, encodeNode } from './node-record.ts';
import { createRedis, type RedisClient } from './redis-connection.ts';
import { RedisKeys } from './redis-keys.ts';
import { redisRecords } from './redis-records.ts';

export interface RedisStoreOptions {
  /** `cluster_redis_url`. */
  readonly url: string;
  /** `cluster_prefix`. */
  readonly prefix: string;
  /** Milliseconds for which the pushes of a stream without an owner are kept. */
  readonly pushTtlMs?: number;
}

export interface RedisStoreEvents {
  available: [available: boolean];
  return: [];
}

/** Nodes and managers that have not written a heartbeat for this time leave their index. Milliseconds. */
const NODE_INDEX_TTL_MS = 10_000;
/** Streams that one look for abandoned pushes returns. */
const MAX_ABANDONED = 500;
/** Streams that one look for offers returns. */
const MAX_OFFERS = 500;
/** Milliseconds after which the time of an offer is forgotten: a stream that nobody can take is then offered anew. */
const OFFER_INDEX_TTL_MS = 30_000;

/** The shared state of the cluster in Redis. */
export class RedisStore extends EventEmitter<RedisStoreEvents> implements ClusterStore {
  readonly #redis: RedisClient;
  readonly #keys: RedisKeys;
  readonly #pushTtlMs: number;
  /** Unknown until the first answer. */
  #available: boolean | undefined;
  #closed: Promise<void> | undefined;

  constructor({ url, prefix, pushTtlMs = PUSH_TTL_MS }: RedisStoreOptions) {
    super();
    this.#pushTtlMs = pushTtlMs;
    this.#redis = createRedis(url);
    this.#keys = new RedisKeys(prefix);
    let connected = false;
    // A server that was restarted may be back before a command has failed.
    this.#redis.on('ready', () => {
      if (connected) this.emit('return');
      connected = true;
    });
  }

  get available(): boolean {
    return this.#available !== false;
  }

  /** Waits for the first answer. Rejects when there is none within the time. */
  async waitUntilAvailable(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    // Until the connection is open, commands fail at once.
    while (this.#redis.status !== 'ready' && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await this.#run(() => this.#redis.exists(this.#keys.nodeIndex));
  }

  async claim(stream: string, identity: NodeIdentity, { ttlMs, replace }: ClaimOptions): Promise<ClaimAnswer> {
    const [granted, text] = (await this.#run(() =>
      this.#redis.wtClaim(
        this.#keys.lease(stream),
        this.#keys.epoch(stream),
        identity.id,
        identity.instance,
        ttlMs,
        EPOCH_TTL_MS,
        replace ?? '',
      ),
    )) as [number, string];
    return granted === 1 ? { granted: true, epoch: Number(text) } : { granted: false, owner: decodeLease(text)! };
  }

  async hold(stream: string, identity: NodeIdentity, epoch: number, ttlMs: number): Promise<HoldAnswer> {
    const [held, more] = (await this.#run(() =>
      this.#redis.wtHold(
        ...this.#keys.ofStream(stream),
        identity.id,
        identity.instance,
        epoch,
        ttlMs,
        EPOCH_TTL_MS,
        this.#pushTtlMs,
      ),
    )) as [number, string | number];
    if (held !== 1) return { held: false, owner: decodeLease(String(more)) };
    if (more === 1) await this.#touchPushes(stream);
    return { held: true };
  }

  async release(stream: string, { id, instance }: NodeIdentity, epoch: number): Promise<void> {
    await this.#run(() => this.#redis.wtRelease(this.#keys.lease(stream), id, instance, epoch));
  }

  async owner(stream: string): Promise<LeaseRecord | undefined> {
    const lease = await this.#run(() => this.#redis.get(this.#keys.lease(stream)));
    return lease === null ? undefined : decodeLease(lease);
  }

  async beat(node: NodeRecord, ttlMs: number): Promise<boolean> {
    const written = await this.#run(() =>
      this.#redis.wtBeat(this.#keys.node(node.id), node.instance, ttlMs, ...Object.entries(encodeNode(node)).flat()),
    );
    if (written !== 1) return false;
    await this.#run(() => this.#redis.wtTouch(this.#keys.nodeIndex, node.id, NODE_INDEX_TTL_MS));
    return true;
  }

  async leave({ id, instance }: NodeIdentity): Promise<void> {
    const removed = await this.#run(() => this.#redis.wtLeave(this.#keys.node(id), instance));
    if (removed === 1) await this.#run(() => this.#redis.zrem(this.#keys.nodeIndex, id));
  }

  async node(id: string): Promise<NodeRecord | undefined> {
    return decodeNode(await this.#run(() => this.#redis.hgetall(this.#keys.node(id))));
  }

  async heartbeatAgeMs(id: string): Promise<number | undefined> {
    const ttlMs = await this.#run(() => this.#redis.pttl(this.#keys.node(id)));
    return ttlMs < 0 ? undefined : NODE_TTL_MS - ttlMs;
  }

  async nodes(): Promise<NodeRecord[]> {
    const ids = await this.#run(() => this.#redis.zrange(this.#keys.nodeIndex, '0', '-1'));
    const found = await Promise.all(ids.map((id) => this.node(id)));
    return found.filter((node) => node !== undefined);
  }

  async countManagers(id: string): Promise<number> {
    await this.#run(() => this.#redis.wtTouch(this.#keys.managerIndex, id, NODE_INDEX_TTL_MS));
    return this.#run(() => this.#redis.zcard(this.#keys.managerIndex));
  }

  async putPush(stream: string, epoch: number, id: string, sealed: string): Promise<boolean> {
    const written = await this.#run(() =>
      this.#redis.wtPutPush(...this.#keys.ofStream(stream), epoch, id, sealed, this.#pushTtlMs),
    );
    if (written === 1) await this.#touchPushes(stream);
    return written === 1;
  }

  async removePush(stream: string, epoch: number, id: string): Promise<boolean> {
    const removed = await this.#run(() => this.#redis.wtRemovePush(...this.#keys.ofStream(stream), epoch, id));
    if (removed === 2) await this.#run(() => this.#redis.zrem(this.#keys.pushIndex, stream));
    return removed !== 0;
  }

  async pushes(stream: string): Promise<ReadonlyMap<string, string>> {
    return new Map(Object.entries(await this.#run(() => this.#redis.hgetall(this.#keys.pushes(stream)))));
  }

  abandoned(forMs: number): Promise<AbandonedStream[]> {
    return this.#stale(this.#keys.pushIndex, forMs, MAX_ABANDONED);
  }

  async offer(stream: string, { epoch, pushing }: Offer): Promise<OfferAnswer> {
    const keys = this.#keys;
    const [taken, by] = (await this.#run(() =>
      this.#redis.wtOffer(
        keys.lease(stream),
        keys.epoch(stream),
        keys.offer(stream),
        keys.accepted(stream),
        epoch,
        pushing.join(),
        OFFER_TTL_MS,
      ),
    )) as [number, string];
    if (taken === 1) return { state: 'taken' };
    await this.#run(() => this.#redis.wtTouch(keys.offerIndex, stream, OFFER_INDEX_TTL_MS, 'first'));
    return by === '' ? { state: 'open' } : { state: 'accepted', by };
  }

  async withdraw(stream: string, epoch: number): Promise<void> {
    const keys = this.#keys;
    const ended = await this.#run(() => this.#redis.wtWithdraw(keys.offer(stream), keys.accepted(stream), epoch));
    if (ended === 1) await this.#run(() => this.#redis.zrem(keys.offerIndex, stream));
  }

  offers(): Promise<OfferedStream[]> {
    return this.#stale(this.#keys.offerIndex, 0, MAX_OFFERS);
  }

  async accept(stream: string, node: string): Promise<Offer | undefined> {
    const keys = this.#keys;
    return decodeOffer(
      String(
        await this.#run(() => this.#redis.wtAccept(keys.offer(stream), keys.accepted(stream), node, OFFER_TTL_MS)),
      ),
    );
  }

  async keepFirst(key: string, value: string, ttlMs: number): Promise<string> {
    return String(await this.#run(() => this.#redis.wtKeepFirst(this.#keys.first(key), value, ttlMs)));
  }

  async note(key: string, text: string, ttlMs: number): Promise<void> {
    await this.#run(() => this.#redis.set(this.#keys.note(key), text, 'PX', ttlMs));
  }

  async noted(key: string): Promise<string | undefined> {
    return (await this.#run(() => this.#redis.get(this.#keys.note(key)))) ?? undefined;
  }

  /** Records that never expire. */
  records<T>(namespace: string, schema: ZodType<T>, logger: Logger): KeptRecords<T> {
    const keyOf = (name: string): string => this.#keys.records(name);
    return redisRecords({ redis: this.#redis, keyOf, run: (command) => this.#run(command), logger }, namespace, schema);
  }

  onReturn(listener: () => void): () => void {
    this.on('return', listener);
    return () => void this.off('return', listener);
  }

  close(): Promise<void> {
    this.#closed ??= Promise.resolve(this.#redis.disconnect());
    return this.#closed;
  }

  /** Members of an index that were not noted for a time. */
  async #stale(index: string, forMs: number, limit: number): Promise<{ stream: string; forMs: number }[]> {
    const found = (await this.#run(() => this.#redis.wtStale(index, forMs, limit))) as string[];
    return found.flatMap((stream, at) => (at % 2 === 0 ? [{ stream, forMs: Number(found[at + 1]) }] : []));
  }

  #touchPushes(stream: string): Promise<unknown> {
    return this.#run(() => this.#redis.wtTouch(this.#keys.pushIndex, stream, this.#pushTtlMs));
  }

  async #run<T>(command: () => Promise<T>): Promise<T> {
    try {
      const answer = await command();
      this.#setAvailable(true);
      return answer;
    } catch (error) {
      if (!this.#closed) this.#setAvailable(false);
      throw error;
    }
  }

  #setAvailable(available: boolean): void {
    if (this.#available === available) return;
    const before = this.#available;
    this.#available = available;
    if (before === undefined && available) return;
    this.emit('available', available);
    if (available) this.emit('return');
  }
}
