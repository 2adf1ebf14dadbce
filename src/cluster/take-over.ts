import { createHash } from 'node:crypto';
import { toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { Directory, StreamLease } from '../streams/directory.ts';
import { NODE_TTL_MS, type ClusterStore, type NodeRecord } from './cluster-store.ts';
import { relativeLoad } from './placement.ts';
import type { StoredPush, StoredPushes } from './stored-pushes.ts';

/** Milliseconds that each node leaves to the ones before it in the order. */
export const TURN_MS = 500;
/** Streams that a node takes over in one second. */
const MAX_AT_ONCE = 50;

/**
 * When a node takes over the pushes of a stream: milliseconds after the last renewal of its lease; `undefined`: never.
 * All nodes calculate the same order for a stream, without asking each other, and another order for each stream. Two
 * nodes that try at the same time cannot both win, because the lease decides.
 */
export function takeOverAfterMs(stream: string, nodes: readonly NodeRecord[], self: string): number | undefined {
  const able = nodes.filter((node) => node.state === 'in-service' && !node.overloaded && relativeLoad(node) < 1);
  const order = able
    .map(({ id }) => ({ id, score: createHash('sha256').update(`${id}\0${stream}`).digest('hex') }))
    .sort((a, b) => (a.score < b.score ? -1 : 1))
    .findIndex(({ id }) => id === self);
  return order < 0 ? undefined : NODE_TTL_MS + order * TURN_MS;
}

/** Brings pushes up without their publisher. */
export interface PushStandby {
  /**
   * Connects the pushes in standby, under their ids, and holds the stream's name until the publisher is back or they end. Called with the
   * lease, which it releases.
   *
   * @returns those that it has; none if the publisher has come back to this node meanwhile, with which the pushes start
   */
  take(stream: string, pushes: readonly StoredPush[], lease: StreamLease): Promise<readonly StoredPush[]>;
}

export interface TakeOverOptions {
  readonly store: Pick<ClusterStore, 'abandoned' | 'nodes'>;
  readonly directory: Directory;
  readonly stored: Pick<StoredPushes, 'read' | 'adopt'>;
  readonly standby: PushStandby;
  /** `node_id`. */
  readonly self: string;
  readonly logger: Logger;
}

/** Takes over the pushes of streams whose node is gone. */
export class TakeOver {
  readonly #options: TakeOverOptions;
  #taken = 0;

  constructor(options: TakeOverOptions) {
    this.#options = options;
  }

  /** Streams that were taken over. */
  get taken(): number {
    return this.#taken;
  }

  /** To be called once a second, with the heartbeat. */
  async look(): Promise<void> {
    const { store, self } = this.#options;
    const abandoned = await store.abandoned(NODE_TTL_MS).catch(() => []);
    if (abandoned.length === 0) return;
    const nodes = await store.nodes().catch(() => []);
    const due = abandoned.filter(({ stream, forMs }) => forMs >= (takeOverAfterMs(stream, nodes, self) ?? Infinity));
    await Promise.all(due.slice(0, MAX_AT_ONCE).map(({ stream }) => this.#take(stream)));
  }

  async #take(stream: string): Promise<void> {
    const { directory, stored, standby, logger } = this.#options;
    let lease: StreamLease | undefined;
    try {
      lease = await directory.claim(stream);
      const pushes = await stored.read(stream);
      if (pushes.length === 0) return lease.release();
      const taken = await standby.take(stream, pushes, lease);
      if (taken.length === 0) return;
      for (const push of taken) stored.adopt(push);
      this.#taken++;
      logger.warn(
        { streamName: stream, pushes: taken.length, epoch: lease.epoch },
        'pushes taken over from a lost node',
      );
    } catch (error) {
      lease?.release();
      const { code, message } = toGatewayError(error);
      // Its owner lives, or another node was faster.
      if (code !== 'STREAM_NAME_IN_USE')
        logger.warn({ streamName: stream, code, reason: message }, 'pushes not taken over');
    }
  }
}
