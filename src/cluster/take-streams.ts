import { toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { PushReach } from '../outputs/push/leg-state.ts';
import { hasStandby } from '../outputs/push/record/push-record.ts';
import type { StreamLease } from '../streams/directory.ts';
import type { ClusterDirectory } from './cluster-directory.ts';
import type { ClusterStore, Offer } from './cluster-store.ts';
import { stepTake, type TakeEffect, type TakeEvent, type TakeState } from './hand-over-state.ts';
import type { StoredPush, StoredPushes } from './stored-pushes.ts';
import { takeOverAfterMs } from './take-over.ts';
import { sharedRun } from '../runtime/async.ts';

/** Pushes that this node connects before it owns their stream. */
export interface PreparedPushes {
  /** Connects a push in standby, under its id. Until it is kept, nobody sees it. */
  prepare(push: StoredPush): Promise<void>;
  /** `undefined`: it does not run. */
  reachOf(id: string): PushReach | undefined;
  /** This node owns the stream now: keeps a push, as it is stored now. One that does not run is started. */
  keep(push: StoredPush): Promise<unknown>;
  /** Ends a push that was prepared and is not kept. */
  drop(id: string): void;
  /** Connects a push at once that the server has refused because its name was in use. */
  retry(id: string): void;
}

export interface TakeStreamsOptions {
  readonly store: Pick<ClusterStore, 'offers' | 'accept' | 'nodes'>;
  readonly directory: Pick<ClusterDirectory, 'claimFrom' | 'epochOf'>;
  readonly stored: Pick<StoredPushes, 'read'>;
  readonly pushes: PreparedPushes;
  /** `node_id`. */
  readonly self: string;
  readonly logger: Logger;
  /** Milliseconds of a monotonic clock; for tests. */
  readonly now?: () => number;
}

/** Streams that a node takes at the same time. */
const MAX_AT_ONCE = 10;
/** Milliseconds in which the destinations must have accepted the new connections. */
const CONNECT_LIMIT_MS = 10_000;
/** Milliseconds for which a stream that could not be taken is left to other nodes. */
const AVOID_MS = 30_000;

/** A stream that is being taken. */
interface Taking {
  readonly offer: Offer;
  readonly startedAtMs: number;
  state: TakeState;
  pushes: readonly StoredPush[];
  /** All pushes were started. */
  isPrepared: boolean;
  lease?: StreamLease;
}

/** Takes streams over from nodes that drain: see `hand-over-state.ts`. */
export class TakeStreams {
  readonly #options: Required<TakeStreamsOptions>;
  readonly #takings = new Map<string, Taking>();
  readonly #avoidedUntilMs = new Map<string, number>();
  /** To be called several times a second as long as the node is in service. */
  readonly tick = sharedRun(() => this.#tick());
  #taken = 0;

  constructor({ now = () => performance.now(), ...options }: TakeStreamsOptions) {
    this.#options = { now, ...options };
  }

  /** Streams that were taken. */
  get taken(): number {
    return this.#taken;
  }

  /** The node is no longer in service: takes nothing more. */
  stop(): void {
    for (const [stream, taking] of [...this.#takings])
      if (taking.state.phase === 'connecting') this.#dispatch(stream, taking, 'withdrawn');
  }

  async #tick(): Promise<void> {
    const { store, directory, self, now } = this.#options;
    const offers = await store.offers().catch(() => []);
    for (const [stream, untilMs] of this.#avoidedUntilMs) if (untilMs <= now()) this.#avoidedUntilMs.delete(stream);
    const open = offers.filter(
      ({ stream }) =>
        !this.#takings.has(stream) &&
        !this.#avoidedUntilMs.has(stream) &&
        // Taken a moment ago, and not withdrawn yet.
        directory.epochOf(stream) === undefined,
    );
    if (open.length > 0) {
      const nodes = await store.nodes().catch(() => []);
      const due = open.filter(({ stream, forMs }) => forMs >= (takeOverAfterMs(stream, nodes, self, 0) ?? Infinity));
      await Promise.all(due.slice(0, MAX_AT_ONCE - this.#takings.size).map(({ stream }) => this.#begin(stream)));
    }
    await Promise.all([...this.#takings].map(([stream, taking]) => this.#look(stream, taking)));
  }

  async #begin(stream: string): Promise<void> {
    const { store, self, now, logger } = this.#options;
    const offer = await store.accept(stream, self).catch(() => undefined);
    if (!offer) return;
    const startedAtMs = now();
    const taking: Taking = { offer, startedAtMs, state: { phase: 'connecting' }, pushes: [], isPrepared: false };
    this.#takings.set(stream, taking);
    this.#prepare(stream, taking).catch((error: unknown) => {
      const { code, message: reason } = toGatewayError(error);
      logger.warn({ streamName: stream, code, reason }, 'a push of the stream cannot be started here');
      this.#dispatch(stream, taking, 'failed');
    });
  }

  /** Starts all pushes, or rejects. */
  async #prepare(stream: string, taking: Taking): Promise<void> {
    const { stored, pushes } = this.#options;
    taking.pushes = (await stored.read(stream)).filter(hasStandby);
    const results = await Promise.allSettled(taking.pushes.map((push) => pushes.prepare(push)));
    taking.isPrepared = true;
    // Given up meanwhile.
    if (taking.state.phase === 'over') return this.#drop(taking);
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
  }

  async #look(stream: string, taking: Taking): Promise<void> {
    const { store, self, now } = this.#options;
    const { phase } = taking.state;
    if (phase !== 'connecting' && phase !== 'waiting') return;
    let offer: Offer | undefined;
    try {
      offer = await store.accept(stream, self);
      if (offer?.epoch !== taking.offer.epoch) return this.#dispatch(stream, taking, 'withdrawn');
    } catch {
      // Redis is away: the stream stays where it is unless it answers soon.
    }
    if (now() - taking.startedAtMs > CONNECT_LIMIT_MS) return this.#dispatch(stream, taking, 'overdue');
    if (offer && taking.isPrepared) this.#judge(stream, taking, offer.pushing);
  }

  #judge(stream: string, taking: Taking, pushing: readonly string[]): void {
    // Of a push that its destination does not receive now, nothing can be lost.
    const reaches = pushing.map((id) => this.#options.pushes.reachOf(id));
    if (reaches.includes(undefined)) this.#dispatch(stream, taking, 'failed');
    else if (!reaches.includes('connecting'))
      this.#dispatch(stream, taking, reaches.includes('held') ? 'held' : 'ready');
  }

  #dispatch(stream: string, taking: Taking, event: TakeEvent): void {
    const { state, effects } = stepTake(taking.state, event);
    taking.state = state;
    for (const effect of effects) this.#run(stream, taking, effect, event);
    if (state.phase === 'over') this.#takings.delete(stream);
  }

  #run(stream: string, taking: Taking, effect: TakeEffect, event: TakeEvent): void {
    const { now, logger, pushes } = this.#options;
    switch (effect) {
      case 'claim':
        return void this.#claim(stream, taking);
      case 'keep':
        return void this.#keep(stream, taking);
      case 'drop':
        return this.#drop(taking);
      case 'avoid':
        this.#avoidedUntilMs.set(stream, now() + AVOID_MS);
        logger.warn({ streamName: stream, because: event }, 'a stream of a node that drains is not taken');
        return;
      case 'retry':
        for (const { id } of taking.pushes) pushes.retry(id);
    }
  }

  async #claim(stream: string, taking: Taking): Promise<void> {
    try {
      taking.lease = await this.#options.directory.claimFrom(stream, taking.offer.epoch);
      this.#dispatch(stream, taking, 'granted');
    } catch {
      this.#dispatch(stream, taking, 'refused');
    }
  }

  #drop({ pushes }: Taking): void {
    for (const { id } of pushes) this.#options.pushes.drop(id);
  }

  async #keep(stream: string, taking: Taking): Promise<void> {
    const { stored, pushes, logger } = this.#options;
    const lease = taking.lease!;
    // They may have been changed until the former node lost the stream.
    const latest = await stored.read(stream).catch(() => taking.pushes);
    const kept = latest.filter(hasStandby);
    const results = await Promise.allSettled(kept.map((push) => pushes.keep(push)));
    results.forEach((result, index) => {
      if (result.status === 'fulfilled') return;
      const { code, message: reason } = toGatewayError(result.reason as unknown);
      logger.warn({ streamName: stream, mediaSessionId: kept[index]!.id, code, reason }, 'push not taken');
    });
    // What is left was terminated meanwhile.
    this.#drop(taking);
    lease.release();
    this.#taken++;
    logger.info(
      { streamName: stream, pushes: kept.length, epoch: lease.epoch },
      'stream taken from a node that drains',
    );
  }
}
