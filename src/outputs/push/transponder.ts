import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { RenditionLease } from '../../renditions/encoder-pool.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { TagGroup } from '../../media/containers/tag-group.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Pusher, PusherFactory } from './pusher.ts';
import { tickMs } from '../../runtime/tick.ts';
import { AudioSwitch } from './audio-switch.ts';
import { retryDelayMs, type BackoffRules } from './backoff.ts';
import type { Destination } from '../../net/destination.ts';
import type { ResolvedDestination } from '../../net/destination-policy.ts';
import { JoinPoint } from './join-point.ts';
import { MeteredSink } from './metered-sink.ts';
import { OutBuffer, type OutBufferRules } from './out-buffer.ts';
import type { SoundClip } from './sound-library.ts';
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

export interface TransponderEvents {
  /** Its state has changed; look at `view()`. */
  change: [];
  /** It has ended and everything it held has been let go. */
  closed: [];
}

/** What all transponders of a gateway have in common. */
export interface TransponderEnvironment {
  readonly createPusher: PusherFactory;
  /** The addresses that may be connected to, checked anew for each connection. */
  readonly resolve: (destination: Destination) => Promise<ResolvedDestination>;
  readonly retry: RetryRules & BackoffRules;
  readonly outBuffer: OutBufferRules;
  /** `rtmp_out_buffer_polling_time`, milliseconds. */
  readonly pollingMs: number;
  readonly sendMetadata: boolean;
  /** The body of one audio tag of silence. */
  readonly silence: Buffer;
  readonly flashVersion: string;
  readonly localAddress?: string;
  readonly stallTimeoutMs: number;
  readonly logger: Logger;
  readonly onInvalidTransition: (status: string, event: string) => void;
}

export interface TransponderOptionsAtStart {
  readonly request: StartRequest;
  readonly destination: Destination;
  readonly lease: RenditionLease;
  /** The addresses found when the request was checked; used for the first connection. */
  readonly addresses: readonly string[];
  readonly sound?: { readonly clip: SoundClip; readonly loop: boolean };
}

/** One rendition of a stream to one destination, over as many connections as it takes. WCS's `mediaSessionId`. */
export class Transponder extends EventEmitter<TransponderEvents> {
  readonly id = randomUUID();
  readonly destination: Destination;
  readonly request: StartRequest;
  readonly #environment: TransponderEnvironment;
  readonly #lease: RenditionLease;
  readonly #audio: AudioSwitch;
  readonly #logger: Logger;
  readonly #startedAt = new Date();
  readonly #onTags = (group: TagGroup): void => this.#takeTags(group);
  readonly #onFailed = (error: GatewayError): void => void this.stop(error);
  readonly #closed: Promise<void>;
  #resolveClosed!: () => void;
  #options: TransponderOptions;
  #state: TransponderState = INITIAL_STATE;
  #endedAt: Date | undefined;
  /** Orders given about the sound, and the latest that has been carried out. */
  #soundOrders = 0;
  #soundOrder = 0;
  #addresses: readonly string[] | undefined;
  /** Attempts that did not come to push: each begins with another address. */
  #failures = 0;
  #pusher: Pusher | undefined;
  #sink: MeteredSink | undefined;
  #closingPusher: Promise<void> = Promise.resolve();
  #join: JoinPoint | undefined;
  #buffer: OutBuffer | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #steadyTimer: NodeJS.Timeout | undefined;
  #pollTimer: NodeJS.Timeout | undefined;
  /** Bytes taken and frames dropped in connections that are over. */
  #pastBytes = 0;
  #pastDrops = 0;
  #connectionBytes = 0;

  private constructor(start: TransponderOptionsAtStart, environment: TransponderEnvironment) {
    super();
    this.request = start.request;
    this.destination = start.destination;
    this.#environment = environment;
    this.#audio = new AudioSwitch(environment.silence, () => this.emit('change'));
    this.#lease = start.lease;
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
    start.lease.rendition.on('tags', transponder.#onTags);
    start.lease.rendition.on('failed', transponder.#onFailed);
    transponder.#logger.info('push started');
    // Not at once: whoever started it first gets to listen to it.
    setImmediate(() => {
      if (transponder.#state.status === 'connecting') void transponder.#connect();
    });
    return transponder;
  }

  get status(): TransponderState['status'] {
    return this.#state.status;
  }

  view(): TransponderView {
    const nowMs = tickMs();
    const state = this.#state;
    const failure =
      state.status === 'ended' ? state.reason : state.status === 'pushing' ? undefined : state.lastFailure;
    const { width = 0, height = 0 } = this.#lease.rendition.metadata;
    const bytesSent = this.#pastBytes + this.#connectionBytes;
    return {
      mediaSessionId: this.id,
      streamName: this.destination.streamName.reveal(),
      rtmpUrl: this.destination.url.reveal(),
      width,
      height,
      muted: this.#audio.muted,
      soundEnabled: this.#audio.soundEnabled,
      options: this.#options,
      status: state.status,
      reason: failure?.message ?? '',
      reasonCode: failure?.code ?? '',
      sourceStreamName: this.request.streamName,
      attempt: state.attempt,
      startedAt: this.#startedAt.toISOString(),
      ...(this.#endedAt && { endedAt: this.#endedAt.toISOString() }),
      bytesSent,
      bitrate: (state.status === 'pushing' && this.#sink?.bitrate(nowMs)) || 0,
      fps: (state.status === 'pushing' && this.#sink?.frameRate(nowMs)) || 0,
      framesDropped: this.#pastDrops + (this.#buffer?.framesDropped ?? 0),
      bufferMs: this.#buffer?.bufferedMs ?? 0,
      destination: this.destination.redacted,
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

  /** A place in the order in which sounds are asked for: files take their time to be read, and the later order wins. */
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

  /** Ends it for this reason and waits until nothing of it is left. Idempotent: the first reason stands. */
  stop(reason: GatewayError): Promise<void> {
    this.#dispatch({ type: 'stop', reason });
    return this.#closed;
  }

  #dispatch(event: TransponderEvent): void {
    const next = transition(this.#state, event, this.#environment.retry);
    if (!next) {
      this.#logger.error({ status: this.#state.status, event: event.type }, 'invalid transition of a transponder');
      this.#environment.onInvalidTransition(this.#state.status, event.type);
      return;
    }
    const changed = next.state.status !== this.#state.status;
    this.#state = next.state;
    for (const effect of next.effects) this.#apply(effect);
    if (!changed) return;
    const reason =
      next.state.status === 'ended'
        ? next.state.reason
        : next.state.status === 'pushing'
          ? undefined
          : next.state.lastFailure;
    this.#logger.info(
      {
        status: next.state.status,
        attempt: next.state.attempt,
        ...(reason && { code: reason.code, reason: reason.message }),
      },
      `push ${next.state.status}`,
    );
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
    this.#addresses = undefined; // good for one connection only: names move
    const connecting = this.#state;
    try {
      // The old connection first: servers refuse a name that is still in use.
      await this.#closingPusher;
      addresses ??= (await this.#environment.resolve(this.destination)).addresses;
    } catch (error) {
      if (this.#state === connecting) this.#dispatch({ type: 'failed', error: reconnectError(error) });
      return;
    }
    if (this.#state !== connecting) return;
    const { flashVersion, localAddress, stallTimeoutMs } = this.#environment;
    const pusher = this.#environment.createPusher({
      destination: this.destination,
      addresses: rotated(addresses, this.#failures),
      flashVersion: this.request.rtmpFlashVersion ?? flashVersion,
      resumes: this.#pastBytes > 0,
      stallTimeoutMs,
      ...(localAddress && { localAddress }),
    });
    this.#pusher = pusher;
    pusher.on('ready', () => this.#begin(pusher));
    pusher.on('progress', (bytes) => this.#progress(bytes));
    pusher.on('drain', () => this.#buffer?.pump(tickMs()));
    pusher.on('died', (error) => {
      if (this.#state.status === 'connecting') this.#failures++;
      this.#dispatch({ type: 'failed', error });
    });
  }

  #begin(pusher: Pusher): void {
    const { rendition } = this.#lease;
    this.#join = new JoinPoint(rendition, this.#environment.silence, this.#environment.sendMetadata, tickMs());
    this.#sink = new MeteredSink(pusher);
    this.#buffer = new OutBuffer(this.#environment.outBuffer, this.#sink, () => rendition.requestKeyFrame());
    if (this.#environment.outBuffer.enabled)
      this.#pollTimer = setInterval(() => this.#buffer?.pump(tickMs()), this.#environment.pollingMs);
    // A key frame that has just gone out is as good as one that the publisher would have to be asked for.
    const { recent } = rendition;
    if (recent) this.#takeTags(recent);
    if (!this.#join.begun) rendition.requestKeyFrame();
  }

  #takeTags(group: TagGroup): void {
    const join = this.#join;
    if (!join) return;
    const nowMs = tickMs();
    const soundAlone = join.begun && !join.hasFrames;
    const joined = join.take(group, nowMs);
    if (soundAlone && join.hasFrames && this.#pusher?.keepsTracks) return this.#dispatch({ type: 'renew' });
    // Only what is sent: a sound file waits for its destination.
    if (joined) this.#buffer!.push(this.#audio.apply(joined), nowMs);
  }

  #progress(bytes: number): void {
    this.#connectionBytes = bytes;
    this.#dispatch({ type: 'progress' });
  }

  #disconnect(): void {
    clearInterval(this.#pollTimer);
    const pusher = this.#pusher;
    this.#pusher = undefined;
    this.#join = undefined;
    this.#pastDrops += this.#buffer?.framesDropped ?? 0;
    this.#buffer = undefined;
    this.#pastBytes += this.#connectionBytes;
    this.#connectionBytes = 0;
    this.#sink = undefined;
    if (!pusher) return;
    pusher.removeAllListeners();
    this.#closingPusher = pusher
      .close()
      .catch((error: unknown) => this.#logger.error({ err: error }, 'closing a pusher failed'));
  }

  async #finish(): Promise<void> {
    this.#endedAt = new Date();
    this.#lease.rendition.off('tags', this.#onTags);
    this.#lease.rendition.off('failed', this.#onFailed);
    await this.#closingPusher;
    await this.#lease
      .release()
      .catch((error: unknown) => this.#logger.error({ err: error }, 'releasing a rendition failed'));
    this.#resolveClosed();
    this.emit('closed');
  }
}

/** The same addresses, from another one on. */
function rotated(addresses: readonly string[], by: number): readonly string[] {
  const first = by % addresses.length;
  return [...addresses.slice(first), ...addresses.slice(0, first)];
}

/** A name that resolved when the push began and does not now is a fault of the network, which may heal; a policy's no is final. */
function reconnectError(error: unknown): GatewayError {
  const known = toGatewayError(error, 'DESTINATION_UNREACHABLE');
  return known.code === 'DESTINATION_NOT_RESOLVED'
    ? new GatewayError('DESTINATION_UNREACHABLE', known.message, { cause: known })
    : known;
}
