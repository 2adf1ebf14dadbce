import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Destination } from '../../net/destination.ts';
import type { ResolvedDestination } from '../../net/destination-policy.ts';
import type { Logger } from '../../observe/logger.ts';
import type { RenditionLease } from '../../renditions/encoder-pool.ts';
import { tickMs } from '../../runtime/tick.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { LateGroups } from '../late-groups.ts';
import type { OutputQueueRules } from '../output-queue.ts';
import type { Output, OutputCounters, OutputEvents } from '../output.ts';
import { AudioSwitch } from './audio-switch.ts';
import { retryDelayMs, type BackoffRules } from './backoff.ts';
import { PushConnection } from './push-connection.ts';
import type { PushRules } from './platforms/push-rules.ts';
import type { PusherFactory } from './pusher.ts';
import type { SoundClip } from './sound-library.ts';
import { describeTransition, failureOf } from './transponder-log.ts';
import {
  INITIAL_STATE,
  STEADY_AFTER_MS,
  transition,
  type RetryRules,
  type TransponderEffect,
  type TransponderEvent,
  type TransponderState,
} from './transponder-state.ts';
import type { StartRequest, TransponderOptions, TransponderView } from './transponder-view.ts';

/** What all transponders of a gateway share. */
export interface TransponderEnvironment {
  readonly createPusher: PusherFactory;
  /** The addresses that may be connected to. Checked again for each connection. */
  readonly resolve: (destination: Destination) => Promise<ResolvedDestination>;
  readonly retry: RetryRules & BackoffRules;
  readonly outBuffer: OutputQueueRules;
  /** `rtmp_out_buffer_polling_time`, milliseconds. */
  readonly pollingMs: number;
  readonly lateGroups: LateGroups;
  readonly sendMetadata: boolean;
  /** Body of one audio tag of silence. */
  readonly silence: Buffer;
  readonly flashVersion: string;
  readonly localAddress?: string;
  readonly stallTimeoutMs: number;
  readonly logger: Logger;
  readonly onInvalidTransition: (status: string, event: string) => void;
}

export interface TransponderOptionsAtStart {
  readonly request: StartRequest;
  readonly stream: LiveStream;
  readonly destination: Destination;
  readonly lease: RenditionLease;
  /** The addresses found when the request was checked. Used for the first connection. */
  readonly addresses: readonly string[];
  readonly sound?: { readonly clip: SoundClip; readonly loop: boolean };
  /** For destinations whose rules are known. The transponder closes it. */
  readonly rules?: PushRules | undefined;
}

/**
 * An output that pushes one rendition of a stream to one RTMP destination, over as many connections as it takes. Its id
 * is WCS's `mediaSessionId`.
 */
export class Transponder extends EventEmitter<OutputEvents> implements Output {
  readonly id = randomUUID();
  readonly destination: Destination;
  readonly request: StartRequest;
  readonly #environment: TransponderEnvironment;
  readonly #stream: LiveStream;
  readonly #lease: RenditionLease;
  readonly #rules: PushRules | undefined;
  readonly #audio: AudioSwitch;
  readonly #logger: Logger;
  readonly #startedAt = new Date();
  readonly #onFailed = (error: GatewayError): void => void this.stop(error);
  readonly #onAbsenceChanged = (): void => void this.emit('change');
  readonly #closed: Promise<void>;
  #resolveClosed!: () => void;
  #options: TransponderOptions;
  #state: TransponderState = INITIAL_STATE;
  #endedAt: Date | undefined;
  /** Number of sound orders given, and the latest one that was carried out. */
  #soundOrders = 0;
  #soundOrder = 0;
  #addresses: readonly string[] | undefined;
  /** Attempts that failed before they pushed. Each further attempt begins with another address. */
  #failedAttempts = 0;
  #connection: PushConnection | undefined;
  #closingConnection: Promise<void> = Promise.resolve();
  #hasPushed = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #steadyTimer: NodeJS.Timeout | undefined;
  /** Counters of the connections that are over. */
  #past: OutputCounters = { bytesSent: 0, framesDropped: 0 };

  private constructor(start: TransponderOptionsAtStart, environment: TransponderEnvironment) {
    super();
    this.request = start.request;
    this.destination = start.destination;
    this.#environment = environment;
    this.#audio = new AudioSwitch(environment.silence, () => this.emit('change'));
    this.#stream = start.stream;
    this.#lease = start.lease;
    this.#rules = start.rules;
    this.#addresses = start.addresses;
    this.#options = start.request.options ?? {};
    this.#logger = environment.logger.child({
      transponder: this.id,
      stream: start.request.streamName,
      destination: start.destination.redacted,
    });
    this.#closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    if (this.#options.action === 'mute') this.#audio.mute();
    if (start.sound) this.#audio.soundOn(start.sound.clip, start.sound.loop);
  }

  /** Begins to push. Never fails: what goes wrong from here on is the transponder's state. */
  static start(start: TransponderOptionsAtStart, environment: TransponderEnvironment): Transponder {
    const transponder = new Transponder(start, environment);
    start.lease.rendition.on('failed', transponder.#onFailed);
    start.rules?.onChange(() => transponder.emit('change'));
    start.stream.on('lost', transponder.#onAbsenceChanged);
    start.stream.on('published', transponder.#onAbsenceChanged);
    transponder.#logger.info('push started');
    // In a later tick, so that the caller can listen to the transponder first.
    setImmediate(() => {
      if (transponder.#state.status === 'connecting') void transponder.#connect();
    });
    return transponder;
  }

  get status(): TransponderState['status'] {
    return this.#state.status;
  }

  get streamName(): string {
    return this.request.streamName;
  }

  get failure(): GatewayError | undefined {
    return failureOf(this.#state);
  }

  get counters(): OutputCounters {
    return {
      bytesSent: this.#past.bytesSent + (this.#connection?.bytesSent ?? 0),
      framesDropped: this.#past.framesDropped + (this.#connection?.framesDropped ?? 0),
    };
  }

  view(): TransponderView {
    const nowMs = tickMs();
    const { status, attempt } = this.#state;
    const failure = this.failure;
    const { width = 0, height = 0 } = this.#lease.rendition.metadata;
    const absence = status === 'ended' ? undefined : this.#stream.absence;
    const pushing = status === 'pushing' ? this.#connection : undefined;
    return {
      mediaSessionId: this.id,
      streamName: this.destination.streamName.reveal(),
      rtmpUrl: this.destination.url.reveal(),
      width,
      height,
      muted: this.#audio.muted,
      soundEnabled: this.#audio.soundEnabled,
      options: this.#options,
      status,
      reason: failure?.message ?? '',
      reasonCode: failure?.code ?? '',
      sourceStreamName: this.request.streamName,
      attempt,
      startedAt: this.#startedAt.toISOString(),
      ...(this.#endedAt && { endedAt: this.#endedAt.toISOString() }),
      ...this.counters,
      bitrate: pushing?.bitrate(nowMs) ?? 0,
      fps: pushing?.frameRate(nowMs) ?? 0,
      bufferMs: this.#connection?.bufferedMs ?? 0,
      destination: this.destination.redacted,
      ...(absence && {
        publisherAway: { since: absence.since.toISOString(), until: absence.until.toISOString() },
      }),
      ...(status !== 'ended' && this.#rules?.view),
    };
  }

  mute(): void {
    this.#audio.mute();
    this.emit('change');
  }

  unmute(): void {
    this.#audio.unmute();
    this.emit('change');
  }

  /** Reserves a place in the order of sound orders. Files take time to read, and the later order wins. */
  orderSound(): number {
    return ++this.#soundOrders;
  }

  /** @param order from {@link orderSound}, before the clip was read */
  soundOn(clip: SoundClip, loop: boolean, order: number): void {
    if (order < this.#soundOrder) return;
    this.#soundOrder = order;
    this.#audio.soundOn(clip, loop);
    this.emit('change');
  }

  soundOff(): void {
    this.#soundOrder = this.orderSound();
    this.#audio.soundOff();
    this.emit('change');
  }

  stop(reason: GatewayError): Promise<void> {
    this.#dispatch({ type: 'stop', reason });
    return this.#closed;
  }

  #dispatch(event: TransponderEvent): void {
    const before = this.#state;
    const next = transition(before, event, this.#environment.retry);
    if (!next) {
      this.#logger.error({ status: before.status, event: event.type }, 'invalid transition of a transponder');
      this.#environment.onInvalidTransition(before.status, event.type);
      return;
    }
    this.#state = next.state;
    for (const effect of next.effects) this.#apply(effect);
    if (next.state.status === before.status) return;
    this.#rules?.setPushing(next.state.status === 'pushing');
    const { level, message, fields } = describeTransition(before, next.state, this.#hasPushed);
    this.#logger[level](fields, message);
    if (next.state.status === 'pushing') this.#hasPushed = true;
    this.emit('change');
  }

  #apply(effect: TransponderEffect): void {
    switch (effect) {
      case 'connect':
        void this.#connect();
        break;
      case 'disconnect':
        this.#disconnect();
        break;
      case 'watch-steadiness':
        this.#steadyTimer = setTimeout(() => this.#dispatch({ type: 'steady' }), STEADY_AFTER_MS);
        break;
      case 'schedule-retry':
        this.#retryTimer = setTimeout(
          () => this.#dispatch({ type: 'retry' }),
          retryDelayMs(this.#environment.retry, this.#state.attempt, Math.random()),
        );
        break;
      case 'cancel-timers':
        clearTimeout(this.#retryTimer);
        clearTimeout(this.#steadyTimer);
        break;
      case 'finish':
        void this.#finish();
        break;
      default:
        effect satisfies never;
    }
  }

  async #connect(): Promise<void> {
    let addresses = this.#addresses;
    this.#addresses = undefined; // for one connection only: what a name resolves to changes
    const connecting = this.#state;
    try {
      // The old connection is closed first: servers refuse a name that is still in use.
      await this.#closingConnection;
      addresses ??= (await this.#environment.resolve(this.destination)).addresses;
    } catch (error) {
      if (this.#state === connecting) this.#dispatch({ type: 'failed', error: reconnectError(error) });
      return;
    }
    if (this.#state === connecting) this.#connection = this.#createConnection(rotated(addresses, this.#failedAttempts));
  }

  #createConnection(addresses: readonly string[]): PushConnection {
    const { createPusher, flashVersion, localAddress, stallTimeoutMs, ...environment } = this.#environment;
    const pusher = createPusher({
      destination: this.destination,
      addresses,
      flashVersion: this.request.rtmpFlashVersion ?? flashVersion,
      resumes: this.#past.bytesSent > 0,
      stallTimeoutMs,
      ...(localAddress && { localAddress }),
    });
    const feed = {
      rendition: this.#lease.rendition,
      lateGroups: environment.lateGroups,
      queue: environment.outBuffer,
      pollingMs: environment.pollingMs,
      silence: environment.silence,
      sendMetadata: environment.sendMetadata,
      transform: this.#audio.apply.bind(this.#audio),
    };
    return new PushConnection(pusher, feed, {
      onProgress: () => this.#dispatch({ type: 'progress' }),
      onDied: (error) => {
        if (this.#state.status === 'connecting') this.#failedAttempts++;
        this.#dispatch({ type: 'failed', error });
      },
      onTracksChanged: () => this.#dispatch({ type: 'renew' }),
    });
  }

  #disconnect(): void {
    const connection = this.#connection;
    if (!connection) return;
    this.#past = this.counters;
    this.#connection = undefined;
    this.#closingConnection = connection
      .close()
      .catch((error: unknown) => this.#logger.error({ err: error }, 'closing a pusher failed'));
  }

  async #finish(): Promise<void> {
    this.#endedAt = new Date();
    this.#rules?.close();
    this.#lease.rendition.off('failed', this.#onFailed);
    this.#stream.off('lost', this.#onAbsenceChanged);
    this.#stream.off('published', this.#onAbsenceChanged);
    await this.#closingConnection;
    await this.#lease
      .release()
      .catch((error: unknown) => this.#logger.error({ err: error }, 'releasing a rendition failed'));
    this.#resolveClosed();
    this.emit('closed');
  }
}

/** The same addresses, beginning with another one. */
function rotated(addresses: readonly string[], by: number): readonly string[] {
  const first = by % addresses.length;
  return [...addresses.slice(first), ...addresses.slice(0, first)];
}

/**
 * A name that resolved when the push was started and does not resolve now is a network fault, which may heal. A refusal
 * by the policy is final.
 */
function reconnectError(error: unknown): GatewayError {
  const known = toGatewayError(error, 'DESTINATION_UNREACHABLE');
  return known.code === 'DESTINATION_NOT_RESOLVED'
    ? new GatewayError('DESTINATION_UNREACHABLE', known.message, { cause: known })
    : known;
}
