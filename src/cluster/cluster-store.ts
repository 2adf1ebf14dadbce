/** A process in the cluster. `instance` tells it from an earlier process of the same id. */
export interface NodeIdentity {
  readonly id: string;
  readonly instance: string;
}

/** Who owns a stream name. */
export interface LeaseRecord {
  readonly node: string;
  readonly instance: string;
  /** Fencing token: greater than that of every earlier owner. */
  readonly epoch: number;
}

export const NODE_STATES = ['in-service', 'draining'] as const;

/**
 * How a node drains. `moving`: its streams go to other nodes. `blocked`: they should, but no other node can take them.
 * `running-out`: they run until they end.
 */
export const DRAIN_STATES = ['no', 'moving', 'blocked', 'running-out'] as const;
export type DrainState = (typeof DRAIN_STATES)[number];

/** What a node says about itself once a second. */
export interface NodeRecord extends NodeIdentity {
  /** How managers reach its HTTP server. */
  readonly url: string;
  /** How managers reach its WebSocket server. */
  readonly wsUrl: string;
  readonly region: string;
  readonly group: string;
  readonly state: (typeof NODE_STATES)[number];
  readonly version: string;
  /** Publications that it can carry. */
  readonly capacity: number;
  /** Names that it has leased: publications, also those that are connecting or held. */
  readonly publications: number;
  readonly pushes: number;
  readonly encoders: number;
  /** Share of all cores in use by the gateway and its media workers, 0 to 1. */
  readonly cpu: number;
  readonly overloaded: boolean;
  readonly drain: DrainState;
  /** Streams that are still to go to other nodes, while it drains. */
  readonly toMove: number;
  /** Number of this heartbeat. */
  readonly beat: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
}

/** @property replace epoch of an owner that is known to be gone, whose lease is taken */
export interface ClaimOptions {
  readonly ttlMs: number;
  readonly replace?: number | undefined;
}

export type ClaimAnswer =
  { readonly granted: true; readonly epoch: number } | { readonly granted: false; readonly owner: LeaseRecord };

export type HoldAnswer =
  | { readonly held: true }
  /** `owner` is unknown if the other one has released the name already. */
  | { readonly held: false; readonly owner: LeaseRecord | undefined };

export interface AbandonedStream {
  readonly stream: string;
  /** Milliseconds since the last renewal of its lease. */
  readonly forMs: number;
}

/** A stream that its node wants to hand over, because it drains. */
export interface Offer {
  /** Of the lease of the node that drains. */
  readonly epoch: number;
  /** Ids of the stream's pushes with standby that its destinations receive now. */
  readonly pushing: readonly string[];
}

export interface OfferedStream {
  readonly stream: string;
  /** Milliseconds since it was offered first. */
  readonly forMs: number;
}

export type OfferAnswer =
  | { readonly state: 'open' }
  /** A node connects the pushes. */
  | { readonly state: 'accepted'; readonly by: string }
  /** The name has, or had last, a higher epoch: another node owns the stream now. */
  | { readonly state: 'taken' };

/**
 * What the cluster shares, in Redis. Every operation is atomic, and every key that it writes has an expiry. All methods
 * reject when Redis does not answer.
 */
export interface ClusterStore {
  /** Claims a free name, with a new epoch. A claim of the owner itself returns its epoch. */
  claim(stream: string, identity: NodeIdentity, options: ClaimOptions): Promise<ClaimAnswer>;
  /**
   * Renews a lease, and writes one again that Redis has lost, unless another owner has, or had, a higher epoch. Of two
   * owners the one with the higher epoch stays.
   */
  hold(stream: string, identity: NodeIdentity, epoch: number, ttlMs: number): Promise<HoldAnswer>;
  /** Frees the name if it is still leased with this epoch. */
  release(stream: string, identity: NodeIdentity, epoch: number): Promise<void>;
  owner(stream: string): Promise<LeaseRecord | undefined>;

  /** @returns false if another instance uses the id */
  beat(node: NodeRecord, ttlMs: number): Promise<boolean>;
  leave(identity: NodeIdentity): Promise<void>;
  node(id: string): Promise<NodeRecord | undefined>;
  /** Milliseconds since the last heartbeat of a node; `undefined` if it is not in the cluster. */
  heartbeatAgeMs(id: string): Promise<number | undefined>;
  nodes(): Promise<NodeRecord[]>;
  /** Notes that a manager runs, and returns the number of managers. */
  countManagers(id: string): Promise<number>;

  /**
   * Keeps a push with its stream, in place of an earlier one of this id.
   *
   * @returns false if the name has, or had last, a higher epoch
   */
  putPush(stream: string, epoch: number, id: string, sealed: string): Promise<boolean>;
  /** @returns false if the name has, or had last, a higher epoch */
  removePush(stream: string, epoch: number, id: string): Promise<boolean>;
  /** By id. */
  pushes(stream: string): Promise<ReadonlyMap<string, string>>;
  /** Streams with stored pushes whose lease was not renewed for this time, at most some hundreds. */
  abandoned(forMs: number): Promise<AbandonedStream[]>;

  /** Offers a stream to the other nodes for {@link OFFER_TTL_MS}, or renews and changes the offer. */
  offer(stream: string, offer: Offer): Promise<OfferAnswer>;
  /** Ends an offer, if it is the one of this epoch. */
  withdraw(stream: string, epoch: number): Promise<void>;
  /** Streams that are, or were a moment ago, offered, at most some hundreds. */
  offers(): Promise<OfferedStream[]>;
  /**
   * Accepts an offer for {@link OFFER_TTL_MS}, or renews that.
   *
   * @returns the offer; `undefined` if it has ended, or another node has accepted it
   */
  accept(stream: string, node: string): Promise<Offer | undefined>;

  /**
   * Keeps a value under a key, unless there is one.
   *
   * @returns the value that is kept
   */
  keepFirst(key: string, value: string, ttlMs: number): Promise<string>;

  /** Keeps a text under a key, in place of an earlier one. */
  note(key: string, text: string, ttlMs: number): Promise<void>;
  noted(key: string): Promise<string | undefined>;

  /** Whether the last operation was answered. */
  readonly available: boolean;
  /** Calls the listener when Redis answers again, perhaps without its data. Returns a function that ends this. */
  onReturn(listener: () => void): () => void;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Milliseconds after which a lease that is not renewed ends. */
export const LEASE_TTL_MS = 5000;
/** Milliseconds after which a node that writes no heartbeat is gone. */
export const NODE_TTL_MS = 3000;
/** Milliseconds since its last heartbeat after which a node hangs if it does not answer. */
export const NODE_LATE_MS = 1250;
/** Milliseconds between two heartbeats, and between two renewals. */
export const BEAT_MS = 1000;
/** Milliseconds in which every node has written again what Redis has lost. */
export const SETTLE_MS = 2 * BEAT_MS;
/** Milliseconds after which an offer, or its acceptance, ends that is not renewed. */
export const OFFER_TTL_MS = 3000;
/** Milliseconds for which the last epoch of a free name is remembered. Later ones are greater by the clock of Redis. */
export const EPOCH_TTL_MS = 3_600_000;
/** Milliseconds for which the pushes of a stream without an owner are kept. */
export const PUSH_TTL_MS = 900_000;
