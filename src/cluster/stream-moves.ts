import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { StartRequest } from '../outputs/push/transponder-control.ts';
import type { StreamRegistry } from '../streams/stream-registry.ts';
import type { ClusterDirectory } from './cluster-directory.ts';
import type { ClusterStore, DrainState } from './cluster-store.ts';
import { GiveStreams } from './give-streams.ts';
import type { StoredPushes } from './stored-pushes.ts';
import type { ContinuablePushes, StoringPushes } from './storing-pushes.ts';
import { TakeStreams } from './take-streams.ts';

export interface StreamMovesOptions {
  readonly store: ClusterStore;
  readonly directory: ClusterDirectory;
  readonly stored: StoredPushes;
  readonly storing: StoringPushes;
  readonly control: ContinuablePushes;
  readonly registry: StreamRegistry;
  readonly parseOrder: (order: object) => StartRequest;
  /** Whether this node can run pushes with standby. */
  readonly hasStandby: boolean;
  /** `node_id`. */
  readonly self: string;
  readonly logger: Logger;
}

/** What a node does at the moment. `moving`: it drains, and its streams are to go to other nodes. */
export type NodeDuty = 'in-service' | 'draining' | 'moving' | 'out-of-service';

/** The streams that a node hands over to others while it drains, and that it takes from nodes that drain. */
export class StreamMoves {
  readonly #give: GiveStreams;
  readonly #take: TakeStreams;
  readonly #hasStandby: boolean;
  #duty: NodeDuty = 'out-of-service';

  constructor({ storing, control, registry, parseOrder, hasStandby, ...options }: StreamMovesOptions) {
    const { directory } = options;
    this.#hasStandby = hasStandby;
    this.#give = new GiveStreams({
      ...options,
      isMoving: () => this.#duty === 'moving',
      streams: {
        list: () => {
          const holding = storing.holding();
          return [...directory.owned.keys()]
            .filter((name) => holding.has(name) || registry.find(name) !== undefined)
            .map((name) => ({ name, hasStandby: hasStandby && holding.has(name) }));
        },
        isStored: (name) => options.stored.isStored(name),
        pushing: (name) => (storing.holding().get(name) ?? []).filter((id) => control.reachOf(id) === 'pushing'),
        closed: (name) => control.closed(name),
      },
    });
    this.#take = new TakeStreams({
      ...options,
      pushes: {
        prepare: async (push) => storing.prepare(push, parseOrder(push.order)),
        reachOf: (id) => control.reachOf(id),
        keep: async (push) => options.stored.owns(push.id) || storing.continue(push, parseOrder(push.order)),
        drop: (id) =>
          storing.drop(id, new GatewayError('STREAM_NAME_IN_USE', 'The push goes on on the node that has it.')),
        retry: (id) => control.retry(id),
      },
    });
  }

  /** Streams that other nodes have taken. */
  get given(): number {
    return this.#give.moved;
  }

  /** Streams that were taken from other nodes. */
  get taken(): number {
    return this.#take.taken;
  }

  /** Streams that are still to go to other nodes. */
  get toMove(): number {
    return this.#give.toMove;
  }

  get drain(): DrainState {
    return this.#duty === 'moving' || this.#duty === 'draining' ? this.#give.state : 'no';
  }

  /** Whether another node is about to take the stream. */
  gives(stream: string): boolean {
    return this.#give.gives(stream);
  }

  /** To be called several times a second. */
  async tick(duty: NodeDuty): Promise<void> {
    this.#duty = duty;
    if (duty === 'in-service' && this.#hasStandby) return this.#take.tick();
    this.#take.stop();
    if (duty === 'moving' || duty === 'draining') await this.#give.tick();
  }
}
