import { createHash } from 'node:crypto';
import { toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { hasStandby } from '../outputs/push/record/push-record.ts';
import type { Directory, StreamLease } from '../streams/directory.ts';
import { NODE_TTL_MS, type AbandonedStream, type ClusterStore, type NodeRecord } from './cluster-store.ts';
import type { Liveness } from './node-liveness.ts';
import { relativeLoad } from './placement.ts';
import type { StoredPush, StoredPushes } from './stored-pushes.ts';
import { sharedRun } from '../runtime/async.ts';

/** Milliseconds that each node leaves to the ones before it in the order. */
const TURN_MS = 500;
/** Milliseconds without a renewal after which the owner of a stream is asked whether it runs. */
const SUSPECT_MS = 1500;
/** Streams that a node takes over in one second. */
const MAX_AT_ONCE = 50;

/**
 * When a node takes over the pushes of a stream: milliseconds after the last renewal of its lease; `undefined`: never.
 * All nodes calculate the same order for a stream, without asking each other, and another order for each stream. Two
 * nodes that try at the same time cannot both win, because the lease decides.
 */
export function takeOverAfterMs(
  stream: string,
  nodes: readonly NodeRecord[],
  self: string,
  afterMs = NODE_TTL_MS,
): number | undefined {
  const order = nodes
    .filter(canTakeOver)
    .map(({ id }) => ({ id, score: createHash('sha256').update(`${id}\0${stream}`).digest('hex') }))
    .sort((a, b) => (a.score < b.score ? -1 : 1))
    .findIndex(({ id }) => id === self);
  return order < 0 ? undefined : afterMs + order * TURN_MS;
}

/** Whether a node has room for the pushes of another one. */
export const canTakeOver = (node: NodeRecord): boolean =>
  node.state === 'in-service' && !node.overloaded && relativeLoad(node) < 1;

/** Brings pushes up without their publisher. */
export interface PushStandby {
  /**
   * Connects the pushes in standby, under their ids, and holds the stream's name until they end. Called with the lease,
   * which it releases.
   *
   * @returns whether it has; not if the publisher has come back to this node meanwhile, with which the pushes start
   */
  take(stream: string, pushes: readonly StoredPush[], lease: StreamLease): Promise<boolean>;
}

export interface TakeOverOptions {
  readonly store: Pick<ClusterStore, 'abandoned' | 'nodes' | 'owner'>;
  readonly directory: Directory;
  readonly stored: Pick<StoredPushes, 'read'>;
  readonly standby: PushStandby;
  readonly probe: (url: string) => Promise<Liveness>;
  /** Milliseconds for which a node that has lost Redis keeps its streams; 0: no limit. */
  readonly graceMs: number;
  /** `node_id`. */
  readonly self: string;
  readonly logger: Logger;
}

/** Takes over the pushes of streams whose node is gone. */
export class TakeOver {
  readonly #options: TakeOverOptions;
  /** URLs of the nodes, also of those that are gone. */
  readonly #urls = new Map<string, string>();
  /** Who owned the streams whose leases were not renewed. */
  #owners = new Map<string, string | undefined>();
  /** To be called several times a second, as long as the node is in service. */
  readonly look = sharedRun(() => this.#look());
  #taken = 0;

  constructor(options: TakeOverOptions) {
    this.#options = options;
  }

  /** Streams that were taken over. */
  get taken(): number {
    return this.#taken;
  }

  async #look(): Promise<void> {
    const { store, self } = this.#options;
    const [abandoned, nodes] = await Promise.all([store.abandoned(SUSPECT_MS), store.nodes()]).catch(() => [[], []]);
    for (const { id, url } of nodes) this.#urls.set(id, url);
    if (abandoned.length === 0) return void this.#owners.clear();
    const dueAfterMs = await this.#limits(abandoned);
    const due = abandoned.filter(({ stream, forMs }) => {
      const afterMs = dueAfterMs.get(stream) ?? Infinity;
      return forMs >= (takeOverAfterMs(stream, nodes, self, afterMs) ?? Infinity);
    });
    await Promise.all(due.slice(0, MAX_AT_ONCE).map(({ stream }) => this.#take(stream)));
  }

  /** By stream: milliseconds without a renewal after which it is given up. Each owner is asked once. */
  async #limits(abandoned: readonly AbandonedStream[]): Promise<ReadonlyMap<string, number>> {
    const { store, probe, graceMs } = this.#options;
    const owners = new Map<string, string | undefined>();
    await Promise.all(
      abandoned.map(async ({ stream }) => {
        const known = this.#owners.get(stream) ?? (await store.owner(stream).catch(() => undefined))?.node;
        owners.set(stream, known);
      }),
    );
    this.#owners = owners;
    const answers = new Map<string, Promise<Liveness>>();
    const ask = (owner: string): Promise<Liveness> => {
      const url = this.#urls.get(owner);
      const answer = answers.get(owner) ?? (url === undefined ? Promise.resolve('silent') : probe(url));
      answers.set(owner, answer);
      return answer;
    };
    const limits = [...owners].map(async ([stream, owner]): Promise<readonly [string, number]> => {
      // It was given back by a node that has ended.
      const liveness = owner === undefined ? 'refused' : await ask(owner);
      if (liveness === 'answers') return [stream, graceMs > 0 ? graceMs + NODE_TTL_MS : Infinity];
      return [stream, liveness === 'refused' ? SUSPECT_MS : NODE_TTL_MS];
    });
    return new Map(await Promise.all(limits));
  }

  async #take(stream: string): Promise<void> {
    const { directory, stored, standby, logger } = this.#options;
    let lease: StreamLease | undefined;
    try {
      // Without standby a push starts again with its publisher.
      if (!(await stored.read(stream)).some(hasStandby)) return;
      lease = await directory.claim(stream);
      const pushes = (await stored.read(stream)).filter(hasStandby);
      if (pushes.length === 0) return lease.release();
      if (!(await standby.take(stream, pushes, lease))) return;
      this.#taken++;
      logger.warn(
        { streamName: stream, pushes: pushes.length, epoch: lease.epoch },
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
