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
/** Milliseconds between two heartbeats, and between two renewals. */
export const BEAT_MS = 1000;
/** Milliseconds in which every node has written again what Redis has lost. */
export const SETTLE_MS = 2 * BEAT_MS;
/** Milliseconds for which the last epoch of a free name is remembered. Later ones are greater by the clock of Redis. */
export const EPOCH_TTL_MS = 3_600_000;
/** Milliseconds for which the pushes of a stream without an owner are kept. */
export const PUSH_TTL_MS = 900_000;
