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
} from '../../src/cluster/cluster-store.ts';

const NODE_INDEX_TTL_MS = 10_000;
const OFFER_INDEX_TTL_MS = 30_000;

/** What Redis holds, in memory, on a clock of the test. It behaves as the scripts of `src/cluster/redis-scripts.ts`; one test runs both. */
export class RedisModel {
  readonly #now: () => number;
  readonly #keys = new Map<string, { readonly value: unknown; readonly expiresAt: number }>();

  /** @param now milliseconds since 1970 */
  constructor(now: () => number) {
    this.#now = now;
  }

  get now(): number {
    return this.#now();
  }

  get<T>(key: string): T | undefined {
    const found = this.#keys.get(key);
    if (found && found.expiresAt > this.now) return found.value as T;
    this.#keys.delete(key);
    return undefined;
  }

  set(key: string, value: unknown, ttlMs: number): void {
    this.#keys.set(key, { value, expiresAt: this.now + ttlMs });
  }

  delete(key: string): void {
    this.#keys.delete(key);
  }

  /** Loses all data. */
  empty(): void {
    this.#keys.clear();
  }

  /** Milliseconds until each key expires; Infinity for one that does not. */
  get timesToLive(): Map<string, number> {
    return new Map(
      [...this.#keys].flatMap(([key, { expiresAt }]) => {
        const ttl = expiresAt - this.now;
        return ttl > 0 || Number.isNaN(ttl) ? [[key, Number.isNaN(ttl) ? Infinity : ttl] as const] : [];
      }),
    );
  }
}

/** One process's connection to the model. */
export class ModelStore implements ClusterStore {
  readonly #redis: RedisModel;
  readonly #listeners = new Set<() => void>();
  /** Whether Redis can be reached. */
  reachable = true;
  available = true;
  /** Run before and after each operation; a simulation delays it here. */
  before: () => Promise<void> = async () => undefined;
  after: () => Promise<void> = async () => undefined;

  constructor(redis: RedisModel) {
    this.#redis = redis;
  }

  /** The connection was broken and is back. */
  reconnect(): void {
    for (const listener of this.#listeners) listener();
  }

  onReturn(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #run<T>(operation: (redis: RedisModel) => T): Promise<T> {
    await this.before();
    if (!this.reachable) {
      this.available = false;
      throw new Error('Redis does not answer');
    }
    const answer = operation(this.#redis);
    await this.after();
    if (!this.available) {
      this.available = true;
      this.reconnect();
    }
    return answer;
  }

  claim(stream: string, { id, instance }: NodeIdentity, { ttlMs, replace }: ClaimOptions): Promise<ClaimAnswer> {
    return this.#run((redis) => {
      const current = redis.get<LeaseRecord>(`stream:${stream}`);
      if (current?.node === id && current.instance === instance) {
        redis.set(`stream:${stream}`, current, ttlMs);
        return { granted: true, epoch: current.epoch };
      }
      if (current && current.node !== id && current.epoch !== replace) return { granted: false, owner: current };
      const counter = (redis.get<number>(`epoch:${stream}`) ?? 0) + 1;
      const epoch = Math.max(counter, Math.floor(redis.now), (current?.epoch ?? 0) + 1);
      redis.set(`epoch:${stream}`, epoch, EPOCH_TTL_MS);
      redis.set(`stream:${stream}`, { node: id, instance, epoch }, ttlMs);
      return { granted: true, epoch };
    });
  }

  hold(stream: string, { id, instance }: NodeIdentity, epoch: number, ttlMs: number): Promise<HoldAnswer> {
    return this.#run((redis) => {
      const current = redis.get<LeaseRecord>(`stream:${stream}`);
      const isOurs = current?.node === id && current.instance === instance;
      if (current && (current.epoch > epoch || (current.epoch === epoch && !isOurs)))
        return { held: false, owner: current };
      if ((redis.get<number>(`epoch:${stream}`) ?? 0) > epoch) return { held: false, owner: undefined };
      redis.set(`epoch:${stream}`, epoch, EPOCH_TTL_MS);
      redis.set(`stream:${stream}`, { node: id, instance, epoch }, ttlMs);
      const pushes = redis.get<Map<string, string>>(`push:${stream}`);
      if (pushes) {
        redis.set(`push:${stream}`, pushes, PUSH_TTL_MS);
        this.#touch(redis, 'pushed', stream, PUSH_TTL_MS);
      }
      return { held: true };
    });
  }

  release(stream: string, { id, instance }: NodeIdentity, epoch: number): Promise<void> {
    return this.#run((redis) => {
      const current = redis.get<LeaseRecord>(`stream:${stream}`);
      if (current?.node === id && current.instance === instance && current.epoch === epoch)
        redis.delete(`stream:${stream}`);
    });
  }

  owner(stream: string): Promise<LeaseRecord | undefined> {
    return this.#run((redis) => redis.get<LeaseRecord>(`stream:${stream}`));
  }

  beat(node: NodeRecord, ttlMs: number): Promise<boolean> {
    return this.#run((redis) => {
      const current = redis.get<NodeRecord>(`node:${node.id}`);
      if (current && current.instance !== node.instance) return false;
      redis.set(`node:${node.id}`, node, ttlMs);
      this.#touch(redis, 'nodes', node.id, NODE_INDEX_TTL_MS);
      return true;
    });
  }

  leave({ id, instance }: NodeIdentity): Promise<void> {
    return this.#run((redis) => {
      if (redis.get<NodeRecord>(`node:${id}`)?.instance !== instance) return;
      redis.delete(`node:${id}`);
      redis.get<Map<string, number>>('nodes')?.delete(id);
    });
  }

  node(id: string): Promise<NodeRecord | undefined> {
    return this.#run((redis) => redis.get<NodeRecord>(`node:${id}`));
  }

  heartbeatAgeMs(id: string): Promise<number | undefined> {
    return this.#run((redis) => {
      const ttlMs = redis.timesToLive.get(`node:${id}`);
      return ttlMs === undefined ? undefined : NODE_TTL_MS - ttlMs;
    });
  }

  nodes(): Promise<NodeRecord[]> {
    return this.#run((redis) =>
      [...(redis.get<Map<string, number>>('nodes')?.keys() ?? [])].flatMap((id) => {
        const node = redis.get<NodeRecord>(`node:${id}`);
        return node ? [node] : [];
      }),
    );
  }

  countManagers(id: string): Promise<number> {
    return this.#run((redis) => {
      this.#touch(redis, 'managers', id, NODE_INDEX_TTL_MS);
      return redis.get<Map<string, number>>('managers')!.size;
    });
  }

  putPush(stream: string, epoch: number, id: string, sealed: string): Promise<boolean> {
    return this.#run((redis) => {
      if (latestEpoch(redis, stream) > epoch) return false;
      const pushes = redis.get<Map<string, string>>(`push:${stream}`) ?? new Map<string, string>();
      redis.set(`push:${stream}`, pushes.set(id, sealed), PUSH_TTL_MS);
      this.#touch(redis, 'pushed', stream, PUSH_TTL_MS);
      return true;
    });
  }

  removePush(stream: string, epoch: number, id: string): Promise<boolean> {
    return this.#run((redis) => {
      if (latestEpoch(redis, stream) > epoch) return false;
      const pushes = redis.get<Map<string, string>>(`push:${stream}`);
      pushes?.delete(id);
      if (pushes && pushes.size > 0) return true;
      redis.delete(`push:${stream}`);
      redis.get<Map<string, number>>('pushed')?.delete(stream);
      return true;
    });
  }

  pushes(stream: string): Promise<ReadonlyMap<string, string>> {
    return this.#run((redis) => new Map(redis.get<Map<string, string>>(`push:${stream}`)));
  }

  abandoned(forMs: number): Promise<AbandonedStream[]> {
    return this.#run((redis) =>
      [...(redis.get<Map<string, number>>('pushed') ?? [])]
        .map(([stream, at]) => ({ stream, forMs: redis.now - at }))
        .filter((one) => one.forMs >= forMs),
    );
  }

  offer(stream: string, offer: Offer): Promise<OfferAnswer> {
    return this.#run((redis) => {
      if (latestEpoch(redis, stream) > offer.epoch) return { state: 'taken' };
      redis.set(`offer:${stream}`, offer, OFFER_TTL_MS);
      this.#touch(redis, 'offers', stream, OFFER_INDEX_TTL_MS, true);
      const by = redis.get<string>(`accepted:${stream}`);
      return by === undefined ? { state: 'open' } : { state: 'accepted', by };
    });
  }

  withdraw(stream: string, epoch: number): Promise<void> {
    return this.#run((redis) => {
      const offer = redis.get<Offer>(`offer:${stream}`);
      if (offer && offer.epoch !== epoch) return;
      redis.delete(`offer:${stream}`);
      redis.delete(`accepted:${stream}`);
      redis.get<Map<string, number>>('offers')?.delete(stream);
    });
  }

  offers(): Promise<OfferedStream[]> {
    return this.#run((redis) =>
      [...(redis.get<Map<string, number>>('offers') ?? [])].map(([stream, at]) => ({ stream, forMs: redis.now - at })),
    );
  }

  accept(stream: string, node: string): Promise<Offer | undefined> {
    return this.#run((redis) => {
      const offer = redis.get<Offer>(`offer:${stream}`);
      const by = redis.get<string>(`accepted:${stream}`);
      if (!offer || (by !== undefined && by !== node)) return undefined;
      redis.set(`accepted:${stream}`, node, OFFER_TTL_MS);
      return offer;
    });
  }

  keepFirst(key: string, value: string, ttlMs: number): Promise<string> {
    return this.#run((redis) => {
      const kept = redis.get<string>(`first:${key}`);
      if (kept === undefined) redis.set(`first:${key}`, value, ttlMs);
      return kept ?? value;
    });
  }

  note(key: string, text: string, ttlMs: number): Promise<void> {
    return this.#run((redis) => redis.set(`note:${key}`, text, ttlMs));
  }

  noted(key: string): Promise<string | undefined> {
    return this.#run((redis) => redis.get<string>(`note:${key}`));
  }

  async close(): Promise<void> {}

  #touch(redis: RedisModel, index: string, member: string, ttlMs: number, keepsFirst = false): void {
    const members = redis.get<Map<string, number>>(index) ?? new Map<string, number>();
    for (const [other, at] of members) if (at <= redis.now - ttlMs) members.delete(other);
    if (!keepsFirst || !members.has(member)) members.set(member, redis.now);
    redis.set(index, members, ttlMs);
  }
}

const latestEpoch = (redis: RedisModel, stream: string): number =>
  redis.get<LeaseRecord>(`stream:${stream}`)?.epoch ?? redis.get<number>(`epoch:${stream}`) ?? 0;
