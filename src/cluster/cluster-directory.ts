import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { Directory, StreamLease, StreamOwner } from '../streams/directory.ts';
import { LEASE_TTL_MS, SETTLE_MS, type ClusterStore, type LeaseRecord, type NodeIdentity } from './cluster-store.ts';
import { stepLease, type LeaseEffect, type LeaseEvent, type LeaseState } from './lease-state.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';
import { SingleFlight } from '../runtime/async.ts';

export interface ClusterDirectoryOptions {
  readonly store: ClusterStore;
  readonly identity: NodeIdentity;
  /** Milliseconds for which leases are kept without Redis; 0: no limit. */
  readonly graceMs: number;
  /** Accept new names without Redis. */
  readonly acceptsOffline: boolean;
  /** Whether a node is certainly gone, although its lease has not ended yet. */
  readonly isGone: (node: string) => Promise<boolean>;
  readonly logger: Logger;
  /** Milliseconds of a monotonic clock; for tests. */
  readonly now?: () => number;
  /** Milliseconds since 1970; for tests. */
  readonly wallClock?: () => number;
  /** For tests. */
  readonly sleep?: (ms: number) => Promise<unknown>;
}

/** A name that this node owns. */
interface OwnedName {
  readonly epoch: number;
  readonly lost: AbortController;
  state: LeaseState;
  claims: number;
  /** Why another node takes the name, if that is expected. */
  expectedLoss?: GatewayError;
}

/** Leases stream names in Redis. */
export class ClusterDirectory implements Directory {
  readonly #options: Required<ClusterDirectoryOptions>;
  readonly #owned = new Map<string, OwnedName>();
  readonly #claiming = new SingleFlight<string, OwnedName>();
  readonly #unsubscribe: () => void;
  /** Before this time Redis may not know yet who owns which name. */
  #settledAtMs = 0;
  #lost = 0;
  #offline = 0;

  constructor({
    now = () => performance.now(),
    wallClock = wallClockMs,
    sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    ...options
  }: ClusterDirectoryOptions) {
    this.#options = { now, wallClock, sleep, ...options };
    this.#unsubscribe = options.store.onReturn(() => (this.#settledAtMs = now() + SETTLE_MS));
  }

  /** Names that this node owns. */
  get size(): number {
    return this.#owned.size;
  }

  /** Names that this node has lost to another one, or to the grace time. */
  get lost(): number {
    return this.#lost;
  }

  /** Names that were accepted without Redis. */
  get acceptedOffline(): number {
    return this.#offline;
  }

  /** The epoch of a name that this node owns. */
  epochOf(streamName: string): number | undefined {
    return this.#owned.get(streamName)?.epoch;
  }

  /** Names that this node owns, with their epochs. */
  get owned(): ReadonlyMap<string, number> {
    return new Map([...this.#owned].map(([name, { epoch }]) => [name, epoch]));
  }

  async claim(streamName: string): Promise<StreamLease> {
    const owned = this.#owned.get(streamName) ?? (await this.#claimOnce(streamName));
    // Released or lost while this claim waited for the same answer.
    if (this.#owned.get(streamName) !== owned) return this.claim(streamName);
    owned.claims++;
    let held = true;
    return {
      streamName,
      epoch: owned.epoch,
      lost: owned.lost.signal,
      release: () => {
        if (!held) return;
        held = false;
        if (--owned.claims === 0) this.#step(streamName, owned, { type: 'released' });
      },
    };
  }

  /**
   * Claims a name from the node that owns it with this epoch, which then has lost it.
   *
   * @throws {GatewayError} STREAM_NAME_IN_USE if the name has another owner, CLUSTER_UNAVAILABLE
   */
  async claimFrom(streamName: string, epoch: number): Promise<StreamLease> {
    const { store, identity, now } = this.#options;
    const confirmedAtMs = now();
    const answer = await store
      .claim(streamName, identity, { ttlMs: LEASE_TTL_MS, replace: epoch })
      .catch((error: unknown) => {
        throw unavailable(error);
      });
    if (!answer.granted) throw nameInUse(streamName, answer.owner);
    this.#add(streamName, answer.epoch, { phase: 'held', confirmedAtMs });
    return this.claim(streamName);
  }

  /** Another node will take this name: the reason with which the stream then ends. */
  expectLoss(streamName: string, reason: GatewayError): void {
    const owned = this.#owned.get(streamName);
    if (owned) owned.expectedLoss = reason;
  }

  /** Gives a name back although its stream runs: the stream ends with this reason. Without effect for other names. */
  giveUp(streamName: string, reason: GatewayError): void {
    const owned = this.#owned.get(streamName);
    if (owned) this.#step(streamName, owned, { type: 'givenUp', reason });
  }

  /** Gives all names back: their streams end with this reason. */
  giveUpAll(reason: GatewayError): void {
    for (const name of [...this.#owned.keys()]) this.giveUp(name, reason);
  }

  async owner(streamName: string): Promise<StreamOwner | undefined> {
    const owned = this.#owned.get(streamName);
    if (owned) return { node: this.#options.identity.id, epoch: owned.epoch };
    const lease = await this.#options.store.owner(streamName).catch((error: unknown) => {
      throw unavailable(error);
    });
    return lease && { node: lease.node, epoch: lease.epoch };
  }

  /** Renews all leases. To be called once a second while the media workers answer. */
  async renew(): Promise<void> {
    await Promise.all([...this.#owned].map(([name, owned]) => this.#renewOne(name, owned)));
  }

  /** Without a renewal: checks whether the grace time is over. */
  expire(): void {
    const atMs = this.#options.now();
    for (const [name, owned] of [...this.#owned])
      if (owned.state.phase === 'unconfirmed') this.#step(name, owned, { type: 'unreachable', atMs });
  }

  /** Gives all names back. */
  close(): void {
    this.#unsubscribe();
    for (const [name, owned] of [...this.#owned]) this.#step(name, owned, { type: 'released' });
  }

  #claimOnce(streamName: string): Promise<OwnedName> {
    return this.#claiming.run(streamName, () => this.#claimInRedis(streamName));
  }

  async #claimInRedis(streamName: string): Promise<OwnedName> {
    const { store, identity, isGone, now } = this.#options;
    let answer;
    let confirmedAtMs;
    try {
      await this.#settle(streamName);
      // The time to live counts from the request, in the worst case.
      confirmedAtMs = now();
      answer = await store.claim(streamName, identity, { ttlMs: LEASE_TTL_MS });
      if (!answer.granted && (await isGone(answer.owner.node))) {
        confirmedAtMs = now();
        answer = await store.claim(streamName, identity, { ttlMs: LEASE_TTL_MS, replace: answer.owner.epoch });
      }
    } catch (error) {
      return this.#acceptOffline(streamName, error);
    }
    if (!answer.granted) throw nameInUse(streamName, answer.owner);
    return this.#add(streamName, answer.epoch, { phase: 'held', confirmedAtMs });
  }

  /** A Redis that is back may have lost its data: waits until the owners of all names have written them again. */
  async #settle(streamName: string): Promise<void> {
    const { store, now, sleep } = this.#options;
    if (!store.available) await store.owner(streamName);
    for (let waitMs; (waitMs = this.#settledAtMs - now()) > 0;) await sleep(waitMs);
  }

  /** Counts epochs by the clock, as Redis does, so that this claim is later than earlier ones. */
  #acceptOffline(streamName: string, error: unknown): OwnedName {
    if (!this.#options.acceptsOffline) throw unavailable(error);
    this.#offline++;
    this.#options.logger.warn({ streamName }, 'name accepted without Redis: another node may accept it too');
    return this.#add(streamName, this.#options.wallClock(), {
      phase: 'unconfirmed',
      confirmedAtMs: this.#options.now(),
    });
  }

  #add(streamName: string, epoch: number, state: LeaseState): OwnedName {
    const present = this.#owned.get(streamName);
    if (present?.epoch === epoch) return present;
    const owned: OwnedName = { epoch, state, lost: new AbortController(), claims: 0 };
    this.#owned.set(streamName, owned);
    return owned;
  }

  async #renewOne(streamName: string, owned: OwnedName): Promise<void> {
    const { store, identity, now } = this.#options;
    const askedAtMs = now();
    let event: LeaseEvent;
    try {
      const answer = await store.hold(streamName, identity, owned.epoch, LEASE_TTL_MS);
      event = answer.held ? { type: 'confirmed', atMs: askedAtMs } : { type: 'superseded', by: answer.owner };
    } catch {
      event = { type: 'unreachable', atMs: now() };
    }
    const released = owned.state.phase === 'ended';
    this.#step(streamName, owned, event);
    // The renewal may have reached Redis after the release.
    if (released && event.type === 'confirmed' && this.#owned.get(streamName)?.epoch !== owned.epoch)
      this.#giveBack(streamName, owned);
  }

  #step(streamName: string, owned: OwnedName, event: LeaseEvent): void {
    const { state, effects } = stepLease(owned.state, event, this.#options);
    owned.state = state;
    if (state.phase === 'ended' && this.#owned.get(streamName) === owned) this.#owned.delete(streamName);
    for (const effect of effects) {
      if (effect.type === 'giveBack') {
        this.#giveBack(streamName, owned);
        continue;
      }
      this.#lose(streamName, owned, effect);
    }
  }

  #lose(streamName: string, owned: OwnedName, effect: Extract<LeaseEffect, { type: 'lose' }>): void {
    const { epoch, expectedLoss, lost } = owned;
    const { logger, graceMs } = this.#options;
    const isSuperseded = effect.cause === 'superseded';
    // The stream moves as planned, or this node has decided it.
    const planned = isSuperseded ? expectedLoss : effect.cause === 'given-up' ? effect.reason : undefined;
    const reason = planned ?? (isSuperseded ? nameInUse(streamName, effect.by) : graceOver(graceMs));
    if (!planned) {
      this.#lost++;
      logger.warn({ streamName, epoch, code: reason.code, ...(isSuperseded && { by: effect.by }) }, 'stream name lost');
    }
    lost.abort(reason);
  }

  /** A lease that cannot be given back ends by itself. */
  #giveBack(streamName: string, { epoch }: OwnedName): void {
    const { store, identity } = this.#options;
    store.release(streamName, identity, epoch).catch(() => undefined);
  }
}

const nameInUse = (streamName: string, owner: LeaseRecord | undefined): GatewayError =>
  new GatewayError(
    'STREAM_NAME_IN_USE',
    `Stream name is already in use: ${streamName}. It is published on ` +
      `${owner ? `the node ${owner.node}` : 'another node'}. Publish under another name, or stop the other ` +
      'publisher.',
  );

const graceOver = (graceMs: number): GatewayError =>
  new GatewayError(
    'CLUSTER_UNAVAILABLE',
    `Redis did not answer for ${Math.round(graceMs / 1000)} s (cluster_grace_s), so another node may own the name.`,
  );

const unavailable = (error: unknown): GatewayError =>
  new GatewayError(
    'CLUSTER_UNAVAILABLE',
    'The gateway takes no new streams, because Redis does not answer. Try again in some seconds.',
    { cause: toGatewayError(error) },
  );
