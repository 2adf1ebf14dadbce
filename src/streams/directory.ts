/** A node's claim on a stream name. */
export interface StreamLease {
  readonly streamName: string;
  /** Fencing token: greater than that of every earlier owner of the name. */
  readonly epoch: number;
  /** Aborted, with a {@link GatewayError} as its reason, when another node has become the owner. */
  readonly lost: AbortSignal;
  /** Gives the claim back. Idempotent. The name is free when every claim of this node has been released. */
  release(): void;
}

export interface StreamOwner {
  readonly node: string;
  readonly epoch: number;
}

/** Says which node owns a stream name. Within a node, {@link StreamRegistry} decides between publishers. */
export interface Directory {
  /**
   * Claims the name for this node. A node that owns the name already gets another lease with the same epoch.
   *
   * @throws {GatewayError} STREAM_NAME_IN_USE when another node owns the name
   */
  claim(streamName: string): Promise<StreamLease>;
  owner(streamName: string): Promise<StreamOwner | undefined>;
}

/** The directory of a gateway that runs alone: every name is free or its own. */
export class LocalDirectory implements Directory {
  readonly #node: string;
  readonly #owned = new Map<string, { readonly epoch: number; leases: number }>();
  #epoch = 0;

  constructor(node = 'local') {
    this.#node = node;
  }

  async claim(streamName: string): Promise<StreamLease> {
    const owned = this.#owned.get(streamName) ?? { epoch: ++this.#epoch, leases: 0 };
    this.#owned.set(streamName, owned);
    owned.leases++;
    let held = true;
    return {
      streamName,
      epoch: owned.epoch,
      lost: new AbortController().signal,
      release: () => {
        if (!held) return;
        held = false;
        if (--owned.leases === 0) this.#owned.delete(streamName);
      },
    };
  }

  async owner(streamName: string): Promise<StreamOwner | undefined> {
    const owned = this.#owned.get(streamName);
    return owned && { node: this.#node, epoch: owned.epoch };
  }
}
