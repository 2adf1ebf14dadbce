import { EventEmitter } from 'node:events';
import type { GatewayError } from '../../errors.ts';
import type { Destination } from '../../net/destination.ts';
import type { ResolvedDestination } from '../../net/destination-policy.ts';
import type { Logger } from '../../observe/logger.ts';
import type { ConnectExtras } from '../../rtmp/connect-extras.ts';
import type { ReconnectRequest } from '../../rtmp/reconnect-watch.ts';
import { tickMs } from '../../runtime/tick.ts';
import { NO_COUNTERS, sumCounters, type OutputCounters } from '../output.ts';
import type { CodecDecision } from './codecs/codec-choice.ts';
import type { LegCodecs } from './codecs/leg-codecs.ts';
import type { PushVariant } from './codecs/push-media.ts';
import { rotated, reconnectError } from './connection-attempt.ts';
import { backoffMs, type Backoff } from '../../runtime/async.ts';
import {
  CONNECTING,
  failureOf,
  IDLE,
  NAME_HELD_MS,
  STEADY_AFTER_MS,
  transition,
  type LegEffect,
  type LegEvent,
  type LegState,
  type PushReach,
  type RetryRules,
} from './leg-state.ts';
import { PushConnection, type ConnectionFeed } from './push-connection.ts';
import type { PusherFactory } from './pusher.ts';
import { ReconnectRequests } from './reconnect-requests.ts';
import type { LegName, LegView } from '../../views/push-view.ts';
import { inBackground } from '../../runtime/in-background.ts';

/** Longest time between attempts to get a name back that the server still holds, in milliseconds. */
const NAME_RETRY_MS = 5000;

/** What all legs of a gateway share. */
export interface LegEnvironment {
  readonly createPusher: PusherFactory;
  /** The addresses that may be connected to. Checked again for each connection. */
  readonly resolve: (destination: Destination) => Promise<ResolvedDestination>;
  readonly localAddress?: string;
  readonly stallTimeoutMs: number;
  /** Default: {@link NAME_HELD_MS}. */
  readonly nameHeldMs?: number;
  /** Default: {@link STEADY_AFTER_MS}; for tests. */
  readonly steadyAfterMs?: number;
  readonly onInvalidTransition: (status: string, event: string) => void;
}

export interface LegOptions {
  readonly name: LegName;
  readonly destination: Destination;
  readonly flashVersion: string;
  readonly codecs: LegCodecs;
  /** What goes over a connection, besides what the codecs decide. */
  readonly feed: Omit<ConnectionFeed, 'rendition' | 'silence' | 'transform'>;
  readonly retry: RetryRules & Backoff;
  /** Whether another leg pushes. This one then tries again without a limit. */
  readonly isCovered: () => boolean;
  /** The addresses found when the request was checked. Used for the first connection. */
  readonly addresses: readonly string[];
  /** Why there are none: counts as a failed attempt. */
  readonly unresolved?: GatewayError;
  /** Does not connect before {@link Leg.open}. */
  readonly idle?: boolean;
  /** The push was carried by another process, for which the server may still hold the name. */
  readonly continues?: boolean;
  readonly logger: Logger;
}

interface LegEvents {
  /** The status has changed. */
  change: [before: LegState, after: LegState];
  /** It has pushed without interruption for a while. */
  steady: [];
}

/** A connection that the server has asked for, and that takes over when it pushes. */
interface Replacement {
  readonly connection: PushConnection;
  readonly place: Destination;
}

/** What of a transponder goes to one destination, over as many connections as it takes. */
export class Leg extends EventEmitter<LegEvents> {
  readonly name: LegName;
  /** Resolves when the leg has ended and has released its connections. */
  readonly closed: Promise<void>;
  readonly #options: LegOptions;
  readonly #environment: LegEnvironment;
  readonly #logger: Logger;
  readonly #requests: ReconnectRequests;
  #resolveClosed!: () => void;
  #state: LegState;
  #addresses: readonly string[] | undefined;
  #unresolved: GatewayError | undefined;
  /** Attempts that failed before they pushed. Each further attempt begins with another address. */
  #failedAttempts = 0;
  /** The server was considered dead, and has not failed since: perhaps it was not. */
  #wasStalled = false;
  #connection: PushConnection | undefined;
  /** Where `#connection` leads: the destination, or where the server has sent this leg. */
  #place: Destination;
  #replacement: Replacement | undefined;
  #closingConnection: Promise<void> = Promise.resolve();
  /** When it was last known to push. */
  #pushedMs = -Infinity;
  /** When another process may have pushed last. */
  readonly #continuedMs: number;
  #retryTimer: NodeJS.Timeout | undefined;
  #steadyTimer: NodeJS.Timeout | undefined;
  /** Counters of the connections that are over. */
  #past = NO_COUNTERS;

  private constructor(options: LegOptions, environment: LegEnvironment) {
    super();
    this.name = options.name;
    this.#options = options;
    this.#environment = environment;
    this.#logger = options.logger;
    this.#requests = new ReconnectRequests(environment.resolve, options.logger);
    this.#addresses = options.unresolved ? undefined : options.addresses;
    this.#unresolved = options.idle ? undefined : options.unresolved;
    this.#place = options.destination;
    this.#continuedMs = options.continues ? performance.now() : -Infinity;
    this.#state = options.idle ? IDLE : { ...CONNECTING };
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
  }

  /** Begins to push, unless it is idle. Never fails: what goes wrong from here on is the leg's state. */
  static start(options: LegOptions, environment: LegEnvironment): Leg {
    const leg = new Leg(options, environment);
    const begun = leg.#state;
    // In a later tick, so that the caller can listen to the leg first.
    setImmediate(() => {
      if (leg.#state === begun && begun.status === 'connecting') inBackground(leg.#connect());
    });
    return leg;
  }

  get state(): LegState {
    return this.#state;
  }

  get status(): LegState['status'] {
    return this.#state.status;
  }

  /** Why the leg does not push at the moment, or why it has ended. */
  get failure(): GatewayError | undefined {
    return failureOf(this.#state);
  }

  get hasPushed(): boolean {
    return this.#pushedMs > -Infinity;
  }

  /** `undefined`: it is idle, or has ended. */
  get reach(): PushReach | undefined {
    const state = this.#state;
    const { hasVideo, videoHeader } = this.#options.codecs.variant.source.lease.rendition;
    switch (state.status) {
      case 'idle':
      case 'ended':
        return undefined;
      case 'retrying':
        return state.free && (!hasVideo || videoHeader) ? 'held' : 'connecting';
      case 'connecting':
        return 'connecting';
      case 'pushing':
        return !hasVideo || this.#connection?.hasFrames ? 'pushing' : 'connecting';
    }
  }

  get counters(): OutputCounters {
    return sumCounters([this.#past, ...this.#connections]);
  }

  view(): LegView {
    const { failure } = this;
    const { status, attempt } = this.#state;
    const nowMs = tickMs();
    const pushing = status === 'pushing' ? this.#connection : undefined;
    return {
      leg: this.name,
      destination: this.#place.redacted,
      status,
      reason: failure?.message ?? '',
      reasonCode: failure?.code ?? '',
      attempt,
      ...this.counters,
      bitrate: pushing?.bitrate(nowMs) ?? 0,
      fps: pushing?.frameRate(nowMs) ?? 0,
      bufferMs: this.#connection?.bufferedMs ?? 0,
    };
  }

  /** What it sends, or has sent last. */
  get variant(): PushVariant {
    return this.#options.codecs.variant;
  }

  /** In which codecs it pushes, and why. */
  get decision(): CodecDecision {
    return this.#options.codecs.decision;
  }

  /** Connects again if what is published now goes in other codecs. @returns whether it does */
  reconsider(): boolean {
    if (!this.#options.codecs.isOutdated) return false;
    const { status } = this.#state;
    if (status === 'pushing' || (status === 'connecting' && this.#connection?.isReady))
      this.#dispatch({ type: 'renew' });
    return true;
  }

  /** Connects a leg that is idle. */
  open(): void {
    this.#dispatch({ type: 'open' });
  }

  /** Makes the leg idle. */
  close(): void {
    this.#dispatch({ type: 'close' });
  }

  /** Does not wait for the next attempt. */
  retry(): void {
    if (this.#state.status !== 'retrying') return;
    clearTimeout(this.#retryTimer);
    this.#dispatch({ type: 'retry' });
  }

  stop(reason: GatewayError): void {
    this.#dispatch({ type: 'stop', reason });
  }

  #dispatch(event: LegEvent): void {
    const before = this.#state;
    const { retry, isCovered } = this.#options;
    const next = transition(before, event, isCovered() ? { enabled: retry.enabled, attempts: Infinity } : retry);
    if (!next) {
      this.#logger.error({ status: before.status, event: event.type }, 'invalid transition of a leg');
      this.#environment.onInvalidTransition(before.status, event.type);
      return;
    }
    this.#state = next.state;
    if (before.status === 'pushing') this.#pushedMs = performance.now();
    for (const effect of next.effects) this.#apply(effect);
    if (next.state.status === 'idle') this.#options.codecs.rest();
    if (next.state.status !== before.status) this.emit('change', before, next.state);
    if (this.#state === next.state && next.state.status === 'pushing') {
      this.#pushedMs = performance.now();
      if (event.type === 'steady') this.emit('steady');
      this.#takeRequest();
    }
  }

  #apply(effect: LegEffect): void {
    switch (effect) {
      case 'connect':
        inBackground(this.#connect());
        break;
      case 'disconnect':
        this.#disconnect();
        break;
      case 'adopt':
        this.#adopt();
        break;
      case 'watch-steadiness':
        this.#steadyTimer = setTimeout(
          () => this.#dispatch({ type: 'steady' }),
          this.#environment.steadyAfterMs ?? STEADY_AFTER_MS,
        );
        break;
      case 'schedule-retry':
        this.#retryTimer = setTimeout(() => this.#dispatch({ type: 'retry' }), this.#retryDelayMs());
        break;
      case 'cancel-timers':
        clearTimeout(this.#retryTimer);
        clearTimeout(this.#steadyTimer);
        break;
      case 'finish':
        this.#options.codecs.end();
        inBackground(this.#closingConnection.then(() => this.#resolveClosed()));
        break;
      default:
        effect satisfies never;
    }
  }

  #retryDelayMs(): number {
    const state = this.#state;
    const delayMs = backoffMs(this.#options.retry, state.attempt, Math.random());
    return state.status === 'retrying' && state.free ? Math.min(delayMs, NAME_RETRY_MS) : delayMs;
  }

  async #connect(): Promise<void> {
    let addresses = this.#addresses;
    const unresolved = this.#unresolved;
    // For one connection only: what a name resolves to changes.
    this.#addresses = undefined;
    this.#unresolved = undefined;
    const connecting = this.#state;
    const place = this.#place;
    try {
      // The old connection is closed first: servers refuse a name that is still in use.
      await this.#closingConnection;
      if (unresolved) throw unresolved;
      addresses ??= (await this.#environment.resolve(place)).addresses;
    } catch (error) {
      if (this.#state === connecting) this.#fail(reconnectError(error), false);
      return;
    }
    if (this.#state !== connecting) return;
    const extras = await this.#options.codecs.extras(place);
    if (this.#state !== connecting) return;
    this.#connection = this.#createConnection(place, rotated(addresses, this.#failedAttempts), extras);
  }

  #createConnection(
    destination: Destination,
    addresses: readonly string[],
    extras: ConnectExtras | undefined,
  ): PushConnection {
    const { createPusher, localAddress, stallTimeoutMs } = this.#environment;
    const { flashVersion, codecs } = this.#options;
    const pusher = createPusher({
      destination,
      addresses,
      ...(extras && { extras }),
      flashVersion,
      resumes: this.counters.bytesSent > 0 || (this.#options.continues ?? false),
      stallTimeoutMs,
      ignoresSilence: this.#wasStalled,
      logger: this.#logger,
      ...(localAddress && { localAddress }),
    });
    const connection: PushConnection = new PushConnection(pusher, {
      begin: (answer) => {
        const variant = codecs.begin(answer);
        return variant instanceof Promise ? variant.then((ready) => this.#feedOf(ready)) : this.#feedOf(variant);
      },
      onProgress: () => {
        codecs.progressed(connection);
        this.#dispatch({ type: this.#replacement?.connection === connection ? 'replaced' : 'progress' });
      },
      onDied: (error, nameInUse) => {
        if (this.#replacement?.connection === connection)
          return this.#replacementFailed(this.#replacement, error, nameInUse);
        const verdict = codecs.judge(error, nameInUse, connection);
        if (verdict === 'again') this.#dispatch({ type: 'renew' });
        else this.#lost(verdict ?? error, nameInUse);
      },
      onTracksChanged: () => {
        if (this.#connection === connection) this.#dispatch({ type: 'renew' });
      },
      onReconnectRequest: (request) => {
        if (this.#connection !== connection) return;
        this.#requests.receive(request);
        if (this.#state.status === 'pushing') this.#takeRequest();
      },
    });
    return connection;
  }

  #feedOf({ source, silence, audio }: PushVariant): ConnectionFeed {
    const { feed } = this.#options;
    return { ...feed, rendition: source.lease.rendition, silence, transform: audio.apply.bind(audio) };
  }

  #lost(error: GatewayError, nameInUse: boolean): void {
    if (this.#replacement) return this.#dispatch({ type: 'overtaken' });
    if (this.#state.status === 'connecting') this.#failedAttempts++;
    this.#wasStalled = this.#state.status === 'pushing' && error.code === 'DESTINATION_STALLED';
    // A server that sends its publishers elsewhere does so again where it is still needed.
    this.#place = this.#options.destination;
    this.#fail(error, nameInUse);
  }

  #fail(error: GatewayError, nameInUse: boolean): void {
    const heldSinceMs = Math.max(this.#pushedMs, this.#continuedMs);
    const nameHeld = nameInUse && performance.now() - heldSinceMs < (this.#environment.nameHeldMs ?? NAME_HELD_MS);
    this.#dispatch({ type: 'failed', error, nameHeld });
  }

  #disconnect(): void {
    this.#requests.forget();
    const connections = this.#connections;
    if (connections.length === 0) return;
    this.#past = this.counters;
    this.#connection = undefined;
    this.#replacement = undefined;
    this.#closeLater(connections);
  }

  get #connections(): readonly PushConnection[] {
    return [this.#connection, this.#replacement?.connection].filter((each) => each !== undefined);
  }

  #closeLater(connections: readonly PushConnection[]): void {
    const closing = connections.map((connection) =>
      connection.close().catch((error: unknown) => this.#logger.error({ err: error }, 'closing a pusher failed')),
    );
    this.#closingConnection = Promise.all([this.#closingConnection, ...closing]).then(() => undefined);
  }

  /** Carries out the server's request to reconnect, which may have arrived before this leg pushed. */
  #takeRequest(): void {
    const current = this.#connection;
    if (!current || this.#replacement) return;
    const request = this.#requests.take();
    if (request) inBackground(this.#replace(request, current));
  }

  /** Makes another connection, which takes over when it pushes. */
  async #replace(request: ReconnectRequest, current: PushConnection): Promise<void> {
    const to = await this.#requests.locate(request, this.#place);
    if (!to || this.#connection !== current || this.#replacement || this.#state.status !== 'pushing') return;
    const extras = await this.#options.codecs.extras(to.place);
    if (this.#connection !== current || this.#replacement || this.#state.status !== 'pushing') return;
    this.#replacement = { place: to.place, connection: this.#createConnection(to.place, to.addresses, extras) };
  }

  #replacementFailed({ connection, place }: Replacement, error: GatewayError, nameInUse: boolean): void {
    this.#past = sumCounters([this.#past, connection]);
    this.#replacement = undefined;
    this.#closeLater([connection]);
    const fields = { to: place.redacted, code: error.code, reason: error.message };
    if (!nameInUse)
      return void this.#logger.warn(fields, 'the other connection failed: the push goes on with the one it has');
    this.#logger.info(fields, 'the server wants the old connection closed first');
    this.#place = place;
    this.#dispatch({ type: 'renew' });
  }

  #adopt(): void {
    const { connection, place } = this.#replacement!;
    const old = this.#connection!;
    this.#past = sumCounters([this.#past, old]);
    this.#connection = connection;
    this.#place = place;
    this.#replacement = undefined;
    this.#closeLater([old]);
    this.#logger.info({ to: place.redacted }, 'the push goes on with the other connection');
  }
}
