import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { encodeProfile, type RtmpAudioCodec } from '../../renditions/encode-profile.ts';
import type { EncoderPool } from '../../renditions/encoder-pool.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { OutputSet } from '../output-set.ts';
import { parseDestination, type AddressingRules, type Destination } from '../../net/destination.ts';
import type { SoundClip, SoundLibrary } from './sound-library.ts';
import { Transponder, type TransponderEnvironment } from './transponder.ts';
import type { TransponderHistory } from './transponder-history.ts';
import type { StartRequest, TransponderControl, TransponderFilter, TransponderView } from './transponder-view.ts';

export interface TransponderManagerOptions {
  readonly registry: StreamRegistry;
  readonly encoders: EncoderPool;
  readonly sounds: SoundLibrary;
  readonly environment: TransponderEnvironment;
  readonly addressing: AddressingRules;
  readonly preserveAspectRatio: boolean;
  readonly audioCodec: RtmpAudioCodec;
  readonly maxTransponders: number;
  readonly maxPerStream: number;
  readonly history: TransponderHistory;
  /** The URL that every stream is pushed to (`rtmp_push_auto_start_url`); empty: none. */
  readonly autoStartUrl: string;
  readonly logger: Logger;
}

interface ManagerEvents {
  start: [view: TransponderView];
  refused: [view: TransponderView];
  change: [view: TransponderView];
}

/** All transponders: starts and finds them. They end with their streams. */
export class TransponderManager implements TransponderControl {
  readonly #options: TransponderManagerOptions;
  readonly #events = new EventEmitter<ManagerEvents>();
  readonly #transponders: OutputSet<Transponder>;
  /**
   * Source stream and destination of every transponder, and of those that are being started: no pair may exist twice.
   */
  readonly #taken = new Set<string>();
  /** Source streams of the transponders that are being started, by their entry in `#taken`. */
  readonly #starting = new Map<string, string>();
  /** The transponders that have ended but still hold their connection, by their entry in `#taken`. */
  readonly #closing = new Map<string, Promise<void>>();
  #closed = false;

  constructor(options: TransponderManagerOptions) {
    this.#options = options;
    this.#events.setMaxListeners(0);
    this.#transponders = new OutputSet(options.registry, {
      changed: (transponder) => {
        const view = transponder.view();
        if (transponder.status === 'ended') options.history.add(view);
        this.#events.emit('change', view);
      },
    });
    if (options.autoStartUrl) options.registry.on('started', (stream) => this.#autoStart(stream));
  }

  async start(request: StartRequest): Promise<TransponderView> {
    try {
      return await this.#start(request, this.#parse(request));
    } catch (thrown) {
      const error = toGatewayError(thrown);
      this.#options.logger.warn(
        {
          stream: request.streamName,
          destination: this.#redactedDestination(request),
          code: error.code,
          reason: error.message,
        },
        'push refused',
      );
      throw thrown;
    }
  }

  async #start(request: StartRequest, destination: Destination): Promise<TransponderView> {
    const { encoders, environment } = this.#options;
    const key = JSON.stringify([request.streamName, ...identity(destination)]);
    // An ended transponder may still be closing its connection. Until then the server would refuse the same name.
    while (this.#closing.has(key)) await this.#closing.get(key);
    const stream = this.#liveStream(request.streamName);
    if (this.#taken.has(key))
      throw new GatewayError(
        'TRANSPONDER_EXISTS',
        `Stream ${stream.name} is already pushed to ${destination.redacted}. Terminate that push first, or find it with /push/find.`,
      );
    this.#checkLimits(stream);
    const profile = encodeProfile(request, this.#options.preserveAspectRatio, this.#options.audioCodec);
    encoders.check(stream, profile);

    this.#taken.add(key);
    this.#starting.set(key, stream.name);
    try {
      const { addresses } = await environment.resolve(destination);
      const { options } = request;
      const sound =
        options?.action === 'sound_on'
          ? { clip: await this.#loadSound(options.soundFile, stream, 'ended'), loop: options.loop ?? false }
          : undefined;
      const lease = await encoders.acquire(stream, profile);
      if (this.#closed || stream.endedBy) {
        await lease.release();
        throw stream.endedBy ?? new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
      }
      const transponder = Transponder.start(
        { request, stream, destination, lease, addresses, ...(sound && { sound }) },
        environment,
      );
      this.#keep(transponder, key);
      const view = transponder.view();
      this.#events.emit('start', view);
      return view;
    } catch (error) {
      this.#taken.delete(key);
      // When the stream has ended meanwhile, that is the reason, whatever error it caused here.
      throw stream.endedBy ?? error;
    } finally {
      this.#starting.delete(key);
    }
  }

  refuse(request: StartRequest, reason: GatewayError): void {
    const view = refusedView(request, reason, this.#redactedDestination(request));
    this.#options.history.add(view);
    this.#events.emit('refused', view);
  }

  find({ mediaSessionId, streamName, rtmpUrl }: TransponderFilter): TransponderView[] {
    const views = this.#transponders
      .list()
      .map((transponder) => transponder.view())
      .filter(
        (view) =>
          (mediaSessionId === undefined || view.mediaSessionId === mediaSessionId) &&
          // The official demos filter by the published name, the documentation by the name of the source.
          (streamName === undefined || view.streamName === streamName || view.sourceStreamName === streamName) &&
          (rtmpUrl === undefined || view.rtmpUrl === rtmpUrl),
      );
    if (views.length === 0)
      throw new GatewayError('TRANSPONDER_NOT_FOUND', 'Transponder not found. /push/find_all lists those that exist.');
    return views;
  }

  ended(): TransponderView[] {
    return this.#options.history.list();
  }

  async terminate(mediaSessionId: string): Promise<void> {
    await this.#get(mediaSessionId).stop(new GatewayError('TERMINATED', 'Stopped by rest /terminate'));
  }

  mute(mediaSessionId: string): void {
    this.#get(mediaSessionId).mute();
  }

  unmute(mediaSessionId: string): void {
    this.#get(mediaSessionId).unmute();
  }

  async soundOn(mediaSessionId: string, soundFile: string, loop: boolean): Promise<void> {
    const transponder = this.#get(mediaSessionId);
    const order = transponder.orderSound();
    const clip = await this.#loadSound(soundFile, transponder, 'closed');
    // Looked up again, because it may have ended while the file was read.
    this.#get(mediaSessionId).soundOn(clip, loop, order);
  }

  soundOff(mediaSessionId: string): void {
    this.#get(mediaSessionId).soundOff();
  }

  /** Calls `listener` for every transponder that starts, before its first change. Returns a function that stops it. */
  onStart(listener: (view: TransponderView) => void): () => void {
    this.#events.on('start', listener);
    return () => this.#events.off('start', listener);
  }

  /**
   * Calls `listener` for every push that is refused after the publication that asked for it. Returns a function that
   * stops it.
   */
  onRefused(listener: (view: TransponderView) => void): () => void {
    this.#events.on('refused', listener);
    return () => this.#events.off('refused', listener);
  }

  onChange(listener: (view: TransponderView) => void): () => void {
    this.#events.on('change', listener);
    return () => this.#events.off('change', listener);
  }

  /** Ends all transponders and waits until they have released everything. */
  async close(reason: GatewayError): Promise<void> {
    this.#closed = true;
    await this.#transponders.close(reason);
  }

  #parse(request: StartRequest): Destination {
    const { addressing } = this.#options;
    // Either of the two: WCS's REST client sends false where the user has set nothing.
    const fullUrl = addressing.fullUrl || (request.rtmpTransponderFullUrl ?? false);
    return parseDestination(request.rtmpUrl, request.streamName, { ...addressing, fullUrl });
  }

  /** Empty for a URL that is not valid. */
  #redactedDestination(request: StartRequest): string {
    try {
      return this.#parse(request).redacted;
    } catch {
      return '';
    }
  }

  /** Loads a sound file for a stream or a push. When that ends, the file is not encoded any further. */
  async #loadSound(name: string, user: EventEmitter, end: string): Promise<SoundClip> {
    const abort = new AbortController();
    const giveUp = (): void =>
      abort.abort(new GatewayError('TRANSPONDER_NOT_FOUND', 'The push has ended while its sound file was read.'));
    user.once(end, giveUp);
    try {
      return await this.#options.sounds.load(name, abort.signal);
    } finally {
      user.off(end, giveUp);
    }
  }

  #liveStream(name: string): LiveStream {
    const stream = this.#options.registry.find(name);
    if (!stream?.publisher)
      throw new GatewayError(
        'STREAM_NOT_FOUND',
        `Stream not found: ${JSON.stringify(name)} is not published. Publish it first, then start the push.`,
      );
    return stream;
  }

  #checkLimits(stream: LiveStream): void {
    const { maxTransponders, maxPerStream } = this.#options;
    if (this.#taken.size >= maxTransponders)
      throw new GatewayError(
        'LIMIT_REACHED',
        `The gateway already runs ${this.#taken.size} pushes (max_transponders). Terminate one first.`,
      );
    const sources = [...this.#starting.values(), ...this.#transponders.list().map(({ streamName }) => streamName)];
    const ofStream = sources.filter((name) => name === stream.name).length;
    if (ofStream >= maxPerStream)
      throw new GatewayError(
        'LIMIT_REACHED',
        `Stream ${stream.name} already has ${ofStream} pushes (max_transponders_per_stream). Terminate one first.`,
      );
  }

  #keep(transponder: Transponder, key: string): void {
    const closed = new Promise<void>((resolve) => {
      transponder.once('closed', () => {
        this.#taken.delete(key);
        this.#closing.delete(key);
        resolve();
      });
    });
    transponder.on('change', () => {
      if (transponder.status === 'ended') this.#closing.set(key, closed);
    });
    this.#transponders.add(transponder);
  }

  #autoStart(stream: LiveStream): void {
    const request = { streamName: stream.name, rtmpUrl: this.#options.autoStartUrl };
    // No client waits for an answer, so the failure goes into the history.
    this.start(request).catch((error: unknown) => this.refuse(request, toGatewayError(error)));
  }

  #get(mediaSessionId: string): Transponder {
    const transponder = this.#transponders.get(mediaSessionId);
    if (!transponder)
      throw new GatewayError(
        'TRANSPONDER_NOT_FOUND',
        `Transponder not found: ${JSON.stringify(mediaSessionId.slice(0, 100))}. /push/find_all lists those that exist.`,
      );
    return transponder;
  }
}

/** A push that was refused, as an ended transponder. */
function refusedView(
  { streamName, rtmpUrl }: StartRequest,
  { message, code }: GatewayError,
  destination: string,
): TransponderView {
  const now = new Date().toISOString();
  return {
    mediaSessionId: randomUUID(),
    streamName: '',
    rtmpUrl,
    width: 0,
    height: 0,
    muted: false,
    soundEnabled: false,
    options: {},
    status: 'ended',
    reason: message,
    reasonCode: code,
    sourceStreamName: streamName,
    attempt: 0,
    startedAt: now,
    endedAt: now,
    bytesSent: 0,
    bitrate: 0,
    fps: 0,
    framesDropped: 0,
    bufferMs: 0,
    destination,
  };
}

/** Two destinations are the same when they name the same place on the server, however the URL is written. */
function identity({ scheme, host, port, app, streamName }: Destination): (string | number)[] {
  return [scheme, host.toLowerCase(), port, app.reveal().replace(/\/+(?=\?|$)/, ''), streamName.reveal()];
}
