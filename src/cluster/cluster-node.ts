import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { ClusterDirectory } from './cluster-directory.ts';
import { BEAT_MS, NODE_TTL_MS, type ClusterStore, type NodeIdentity, type NodeRecord } from './cluster-store.ts';
import { stepNode, type NodeEffect, type NodeEvent, type NodeState } from './node-state.ts';
import { inBackground } from '../runtime/in-background.ts';
import { sharedRun } from '../runtime/async.ts';

/** What changes from one heartbeat to the next. */
export type NodeLoad = Pick<
  NodeRecord,
  'publications' | 'pushes' | 'encoders' | 'cpu' | 'overloaded' | 'drain' | 'toMove'
>;

export interface ClusterNodeOptions {
  readonly store: ClusterStore;
  readonly identity: NodeIdentity;
  readonly directory: Pick<ClusterDirectory, 'renew' | 'expire' | 'giveUpAll' | 'close'>;
  readonly about: Omit<NodeRecord, keyof NodeLoad | keyof NodeIdentity | 'state' | 'beat'>;
  /** Whether all media workers answer. */
  readonly workersAnswer: () => Promise<boolean>;
  readonly load: () => NodeLoad;
  readonly isDraining: () => boolean;
  /** Follows each heartbeat unless it still runs. Must not reject. */
  readonly onBeat?: () => Promise<void>;
  readonly logger: Logger;
}

/**
 * A gateway's place in its cluster. Once a second it asks the media workers; while they answer, it writes the heartbeat
 * and renews the leases, so a node whose media hangs disappears.
 */
export class ClusterNode {
  readonly #options: ClusterNodeOptions;
  #state: NodeState = 'joining';
  #beat = 0;
  /** One round of the loop. A round that takes longer than the interval is not started twice. */
  readonly tick = sharedRun(() => this.#round());
  #following: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #conflictReported = false;
  #closing: Promise<void> | undefined;

  constructor(options: ClusterNodeOptions) {
    this.#options = options;
  }

  get state(): NodeState {
    return this.#state;
  }

  /**
   * Writes the first heartbeat and starts the loop. A node that starts while Redis is away joins later.
   *
   * @throws {GatewayError} SETTINGS_INVALID if another running process uses the id
   */
  async start(): Promise<void> {
    const { store, identity } = this.#options;
    // An earlier process of this id may have been killed a moment ago.
    const deadline = performance.now() + NODE_TTL_MS + BEAT_MS;
    while (!(await store.beat(this.#record(), NODE_TTL_MS).catch(() => true))) {
      if (performance.now() > deadline)
        throw new GatewayError(
          'SETTINGS_INVALID',
          `Another running gateway of the cluster has the node_id ${identity.id}. Give each node its own.`,
        );
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await this.tick();
    this.#timer = setInterval(() => inBackground(this.tick()), BEAT_MS);
  }

  /** Leaves the cluster and gives all names back. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    await this.tick.running;
    await this.#dispatch('closed');
  }

  async #round(): Promise<void> {
    const { workersAnswer, directory, onBeat, logger } = this.#options;
    try {
      const answered = await workersAnswer();
      directory.expire();
      await this.#dispatch(answered ? 'workers-answered' : 'workers-silent');
      // What it does may take longer than the time to live of the heartbeat.
      if ((this.#state === 'in-service' || this.#state === 'draining') && onBeat)
        this.#following ??= onBeat().finally(() => (this.#following = undefined));
    } catch (error) {
      logger.error({ err: error }, 'cluster: a round of the heartbeat failed');
    }
  }

  async #dispatch(event: NodeEvent): Promise<void> {
    const { state, effects } = stepNode(this.#state, event, this.#options.isDraining());
    this.#state = state;
    for (const effect of effects) await this.#run(effect);
  }

  async #run(effect: NodeEffect): Promise<void> {
    const { store, identity, directory, logger } = this.#options;
    switch (effect) {
      case 'beat': {
        this.#beat++;
        const [written] = await Promise.all([
          store.beat(this.#record(), NODE_TTL_MS).catch(() => true),
          directory.renew(),
        ]);
        if (written) this.#conflictReported = false;
        else await this.#dispatch('id-taken');
        return;
      }
      case 'give-up':
        logger.error(
          'the media workers still do not answer: this node ends its streams, so that others take them over',
        );
        directory.giveUpAll(
          new GatewayError('NODE_LOST', 'The media workers of this node do not answer, so it has left the cluster.'),
        );
        // It has no streams any more, so nothing is to be asked of it.
        await store.leave(identity).catch(() => undefined);
        return;
      case 'leave':
        directory.close();
        await store.leave(identity).catch(() => undefined);
        return;
      case 'report-silence':
        logger.error('the media workers do not answer: this node leaves the cluster until they do');
        return;
      case 'report-return':
        logger.warn('the media workers answer again: this node is back in the cluster');
        return;
      case 'report-conflict':
        if (!this.#conflictReported)
          logger.error({ nodeId: identity.id }, 'another running gateway has the same node_id: give each node its own');
        this.#conflictReported = true;
    }
  }

  #record(): NodeRecord {
    const { identity, about, load, isDraining } = this.#options;
    return { ...identity, ...about, ...load(), state: isDraining() ? 'draining' : 'in-service', beat: this.#beat };
  }
}
