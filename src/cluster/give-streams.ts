import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { ClusterDirectory } from './cluster-directory.ts';
import { BEAT_MS, type ClusterStore, type DrainState } from './cluster-store.ts';
import { stepGive, type GiveEffect, type GiveEvent, type GiveState } from './hand-over-state.ts';
import { canTakeOver } from './take-over.ts';
import { inBackground } from '../runtime/in-background.ts';
import { sharedRun } from '../runtime/async.ts';

/** A stream of this node. */
export interface OwnStream {
  readonly name: string;
  /** It has pushes with standby, which hold it without a publisher. */
  readonly hasStandby: boolean;
}

/** The streams of this node. */
export interface OwnStreams {
  /** Without those whose publisher is still connecting. */
  list(): readonly OwnStream[];
  /** Whether Redis has the pushes of the stream. */
  isStored(stream: string): boolean;
  /** Ids of the stream's pushes with standby that their destinations receive now. */
  pushing(stream: string): readonly string[];
  /** Resolves when the pushes of the stream that have ended have closed their connections. */
  closed(stream: string): Promise<unknown>;
}

export interface GiveStreamsOptions {
  readonly store: Pick<ClusterStore, 'offer' | 'withdraw' | 'nodes'>;
  readonly directory: Pick<ClusterDirectory, 'epochOf' | 'expectLoss' | 'giveUp'>;
  readonly streams: OwnStreams;
  /** Whether the streams of this node are to move. */
  readonly isMoving: () => boolean;
  /** `node_id`. */
  readonly self: string;
  readonly logger: Logger;
  /** Milliseconds of a monotonic clock; for tests. */
  readonly now?: () => number;
}

/** Streams that are offered at the same time. */
const MAX_OFFERED = 200;
/** Streams without standby that are let go in one second. */
const MAX_LET_GO = 10;
/** Milliseconds between two renewals of an offer that nobody has accepted. */
const RENEWAL_MS = 500;
/** Milliseconds after which managers know that this node drains, so that publishers who return get another one. */
const KNOWN_AFTER_MS = 1500;

/** A stream that is being handed over. */
interface Gift {
  readonly epoch: number;
  state: GiveState;
  renewedAtMs: number;
}

/** Moves the streams of a node that drains to other nodes: see `hand-over-state.ts`. */
export class GiveStreams {
  readonly #options: Required<GiveStreamsOptions>;
  readonly #gifts = new Map<string, Gift>();
  /** To be called several times a second while the node drains. */
  readonly tick = sharedRun(() => this.#tick());
  #sinceMs: number | undefined;
  #askedAtMs = -Infinity;
  #canMove = true;
  #moved = 0;

  constructor({ now = () => performance.now(), ...options }: GiveStreamsOptions) {
    this.#options = { now, ...options };
  }

  /** Streams that other nodes have taken. */
  get moved(): number {
    return this.#moved;
  }

  /** Streams that are still to move; 0 unless streams move. */
  get toMove(): number {
    if (!this.#options.isMoving()) return this.#gifts.size;
    return new Set([...this.#options.streams.list().map(({ name }) => name), ...this.#gifts.keys()]).size;
  }

  /** While the node drains. */
  get state(): Exclude<DrainState, 'no'> {
    if (!this.#options.isMoving()) return 'running-out';
    return this.#canMove ? 'moving' : 'blocked';
  }

  /** Whether the stream is being handed over. */
  gives(stream: string): boolean {
    return this.#gifts.has(stream);
  }

  async #tick(): Promise<void> {
    const { isMoving, streams, now } = this.#options;
    if (isMoving()) {
      this.#sinceMs ??= now();
      if (now() - this.#askedAtMs >= BEAT_MS) await this.#begin(streams.list());
    }
    await Promise.all([...this.#gifts].map(([name, gift]) => this.#look(name, gift)));
  }

  /** Once a second: begins with as many streams as may move at the same time. */
  async #begin(own: readonly OwnStream[]): Promise<void> {
    const { store, directory, streams, self, now, logger } = this.#options;
    this.#askedAtMs = now();
    const nodes = await store.nodes().catch(() => []);
    const canMove = nodes.some((node) => node.id !== self && canTakeOver(node));
    if (canMove !== this.#canMove)
      logger[canMove ? 'info' : 'warn'](
        { streams: own.length },
        canMove
          ? 'draining: streams move to other nodes'
          : 'draining: no other node can take the streams, so they go on here; they move as soon as one can',
      );
    this.#canMove = canMove;
    if (!canMove) return;
    const isKnown = now() - this.#sinceMs! >= KNOWN_AFTER_MS;
    let free = MAX_LET_GO;
    for (const { name, hasStandby } of own) {
      const epoch = directory.epochOf(name);
      if (epoch === undefined || this.#gifts.has(name) || !streams.isStored(name)) continue;
      if (hasStandby && this.#gifts.size < MAX_OFFERED) {
        this.#gifts.set(name, { epoch, state: 'offered', renewedAtMs: -Infinity });
        // The lease may be gone before this node hears that its offer was accepted.
        directory.expectLoss(name, moved());
      } else if (!hasStandby && isKnown && free-- > 0) this.#letGo(name);
    }
  }

  async #look(name: string, gift: Gift): Promise<void> {
    const { store, directory, streams, isMoving, now } = this.#options;
    if (gift.state === 'ending') return;
    if (directory.epochOf(name) !== gift.epoch) return this.#dispatch(name, gift, 'released');
    if (!isMoving()) return this.#dispatch(name, gift, 'stopped');
    // Redis has lost its data: the stream is offered again when its pushes are there again.
    if (!streams.isStored(name)) return;
    if (gift.state === 'offered' && now() - gift.renewedAtMs < RENEWAL_MS) return;
    gift.renewedAtMs = now();
    try {
      const { state } = await store.offer(name, { epoch: gift.epoch, pushing: streams.pushing(name) });
      this.#dispatch(name, gift, state);
    } catch {
      // Redis is away: nobody can take the stream, and it goes on here.
    }
  }

  #dispatch(name: string, gift: Gift, event: GiveEvent): void {
    const { state, effects } = stepGive(gift.state, event);
    gift.state = state;
    for (const effect of effects) this.#run(name, gift, effect);
    if (state === 'over') this.#gifts.delete(name);
  }

  #run(name: string, gift: Gift, effect: GiveEffect): void {
    const { store, directory, streams, logger } = this.#options;
    switch (effect) {
      case 'report-accepted':
        logger.info({ streamName: name }, 'draining: another node connects the pushes of the stream');
        return;
      case 'report-abandoned':
        logger.warn({ streamName: name }, 'draining: the other node did not take the stream, which goes on here');
        return;
      case 'let-go':
        return directory.giveUp(name, moved());
      case 'report-moved':
        this.#moved++;
        logger.info({ streamName: name }, 'draining: another node has taken the stream');
        return;
      case 'await-close':
        inBackground(streams.closed(name).finally(() => this.#dispatch(name, gift, 'closed')));
        return;
      case 'withdraw':
        // It ends by itself otherwise.
        store.withdraw(name, gift.epoch).catch(() => undefined);
    }
  }

  /** Its pushes, if it has some, start again where its publisher comes back. */
  #letGo(name: string): void {
    this.#moved++;
    this.#options.logger.info({ streamName: name }, 'draining: the publisher is sent to another node');
    this.#options.directory.giveUp(name, moved());
  }
}

const moved = (): GatewayError =>
  new GatewayError(
    'SHUTTING_DOWN',
    'The gateway is about to end, and the stream moves to another one: publish it again.',
  );
