import { EventEmitter } from 'node:events';
import type { GatewayError } from '../../errors.ts';
import type { Destination } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import type { ConnectExtras } from '../../rtmp/connect-extras.ts';
import type { ReconnectRequest } from '../../rtmp/reconnect-watch.ts';
import { tickMs } from '../../runtime/tick.ts';
import type { OutputCounters } from '../output.ts';
import type { CodecDecision } from './codecs/codec-choice.ts';
import type { PushVariant } from './codecs/push-media.ts';
import { ConnectionAddresses, reconnectError } from './connection-attempt.ts';
import { LegConnections } from './leg-connections.ts';
import type { LegEnvironment, LegOptions } from './leg-start.ts';
import {
  CONNECTING,
  failureOf,
  IDLE,
  NAME_HELD_MS,
  reachOf,
  retryDelayMs,
  STEADY_AFTER_MS,
  transition,
  type LegEffect,
  type LegEvent,
  type LegState,
  type PushReach,
} from './leg-state.ts';
import { PushConnection, type ConnectionFeed } from './push-connection.ts';
import { ReconnectRequests } from './reconnect-requests.ts';
import type { LegName, LegView } from '../../views/push-view.ts';
import { inBackground } from '../../runtime/in-background.ts';

interface LegEvents {
  /** The status has changed. */
  change: [before: LegState, after: LegState];
  /** It has pushed without interruption for a while. */
  steady: [];
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
  readonly #addresses: ConnectionAddresses;
  /** The server was considered dead, and has not failed since: perhaps it was not. */
  #wasStalled = false;
  readonly #connections: LegConnections<PushConnection>;
  /** Where its connection leads: the destination, or where the server has sent this leg. */
  #place: Destination;
  /** When it was last known to push. */
  #pushedMs = -Infinity;
  /** When another process may have pushed last. */
  readonly #continuedMs: number;
  #retryTimer: NodeJS.Timeout | undefined;
  #steadyTimer: NodeJS.Timeout | undefined;

  private constructor(options: LegOptions, environment: LegEnvironment) {
    super();
    this.name = options.name;
    this.#options = options;
    this.#environment = environment;
    this.#logger = options.logger;
    this.#connections = new LegConnections(options.logger);
    this.#requests = new ReconnectRequests(environment.resolve, options.logger);
    const { idle, unresolved, addresses } = options;
    this.#addresses = new ConnectionAddresses(environment.resolve, unresolved ?? addresses, idle);
    this.#place = options.destination;
    this.#continuedMs = options.continues ? performance.now() : -Infinity;
    this.#state = idle ? IDLE : { ...CONNECTING };
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
    const { hasVideo, videoHeader } = this.#options.codecs.variant.source.lease.rendition;
    return reachOf(this.#state, {
      canSend: !hasVideo || videoHeader !== undefined,
      sends: !hasVideo || (this.#connections.current?.hasFrames ?? false),
    });
  }

  get counters(): OutputCounters {
    return this.#connections.counters;
  }

  view(): LegView {
    const { failure } = this;
    const { status, attempt } = this.#state;
    const nowMs = tickMs();
    const pushing = status === 'pushing' ? this.#connections.current : undefined;
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
      bufferMs: this.#connections.current?.bufferedMs ?? 0,
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
    if (status === 'pushing' || (status === 'connecting' && this.#connections.current?.isReady))
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
        this.#requests.forget();
        this.#connections.close();
        break;
      case 'adopt':
        this.#place = this.#connections.adopt().place;
        this.#logger.info({ to: this.#place.redacted }, 'the push goes on with the other connection');
        break;
      case 'watch-steadiness':
        this.#steadyTimer = setTimeout(
          () => this.#dispatch({ type: 'steady' }),
          this.#environment.steadyAfterMs ?? STEADY_AFTER_MS,
        );
        break;
      case 'schedule-retry':
        this.#retryTimer = setTimeout(
          () => this.#dispatch({ type: 'retry' }),
          retryDelayMs(this.#state, this.#options.retry, Math.random()),
        );
        break;
      case 'cancel-timers':
        clearTimeout(this.#retryTimer);
        clearTimeout(this.#steadyTimer);
        break;
      case 'finish':
        this.#options.codecs.end();
        inBackground(this.#connections.closed.then(() => this.#resolveClosed()));
        break;
      default:
        effect satisfies never;
    }
  }

  async #connect(): Promise<void> {
    const addressesOf = this.#addresses.next();
    const connecting = this.#state;
    const place = this.#place;
    let addresses: readonly string[];
    try {
      // The old connection is closed first: servers refuse a name that is still in use.
      await this.#connections.closed;
      addresses = await addressesOf(place);
    } catch (error) {
      if (this.#state === connecting) this.#fail(reconnectError(error), false);
      return;
    }
    if (this.#state !== connecting) return;
    const extras = await this.#options.codecs.extras(place);
    if (this.#state !== connecting) return;
    this.#connections.use(this.#createConnection(place, addresses, extras));
  }

  #createConnection(place: Destination, addresses: readonly string[], extras?: ConnectExtras): PushConnection {
    const { createPusher, localAddress, stallTimeoutMs } = this.#environment;
    const { flashVersion, codecs } = this.#options;
    const pusher = createPusher({
      destination: place,
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
        this.#dispatch({ type: this.#connections.replacement?.connection === connection ? 'replaced' : 'progress' });
      },
      onDied: (error, nameInUse) => {
        const { replacement } = this.#connections;
        if (replacement?.connection === connection) return this.#replacementFailed(replacement.place, error, nameInUse);
        const verdict = codecs.judge(error, nameInUse, connection);
        if (verdict === 'again') this.#dispatch({ type: 'renew' });
        else this.#lost(verdict ?? error, nameInUse);
      },
      onTracksChanged: () => {
        if (this.#connections.current === connection) this.#dispatch({ type: 'renew' });
      },
      onReconnectRequest: (request) => {
        if (this.#connections.current !== connection) return;
        this.#requests.receive(request);
        if (this.#state.status === 'pushing') this.#takeRequest();
      },
    });
    return connection;
  }

  #feedOf({ source, silence, audio }: PushVariant): ConnectionFeed {
    return { ...this.#options.feed, rendition: source.lease.rendition, silence, transform: audio.apply.bind(audio) };
  }

  #lost(error: GatewayError, nameInUse: boolean): void {
    if (this.#connections.replacement) return this.#dispatch({ type: 'overtaken' });
    if (this.#state.status === 'connecting') this.#addresses.failed();
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

  /** Carries out the server's request to reconnect, which may have arrived before this leg pushed. */
  #takeRequest(): void {
    const { current, replacement } = this.#connections;
    const request = current && !replacement && this.#requests.take();
    if (request) inBackground(this.#replace(request, current));
  }

  /** Makes another connection, which takes over when it pushes. */
  async #replace(request: ReconnectRequest, current: PushConnection): Promise<void> {
    const connections = this.#connections;
    const isStillDue = (): boolean =>
      connections.current === current && !connections.replacement && this.#state.status === 'pushing';
    const to = await this.#requests.locate(request, this.#place);
    if (!to || !isStillDue()) return;
    const extras = await this.#options.codecs.extras(to.place);
    if (!isStillDue()) return;
    connections.offer({ place: to.place, connection: this.#createConnection(to.place, to.addresses, extras) });
  }

  #replacementFailed(place: Destination, error: GatewayError, nameInUse: boolean): void {
    this.#connections.dropReplacement();
    const fields = { to: place.redacted, code: error.code, reason: error.message };
    if (!nameInUse)
      return void this.#logger.warn(fields, 'the other connection failed: the push goes on with the one it has');
    this.#logger.info(fields, 'the server wants the old connection closed first');
    this.#place = place;
    this.#dispatch({ type: 'renew' });
  }
}
