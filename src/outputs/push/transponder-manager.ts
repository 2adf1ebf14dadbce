import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { encodeProfile, type RtmpAudioCodec } from '../../renditions/encode-profile.ts';
import type { EncoderPool } from '../../renditions/encoder-pool.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { parseDestination, type AddressingRules, type Destination } from '../../net/destination.ts';
import type { SoundLibrary } from './sound-library.ts';
import { Transponder, type TransponderEnvironment } from './transponder.ts';
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
  /** Ended transponders that stay readable. */
  readonly endedKept: number;
  /** `rtmp_push_auto_start_url`, where every stream is pushed to; empty: none. */
  readonly autoStartUrl: string;
  readonly logger: Logger;
}

interface ManagerEvents {
  change: [view: TransponderView];
}

/** All transponders: starts them, finds them, ends them with their streams. */
export class TransponderManager implements TransponderControl {
  readonly #options: TransponderManagerOptions;
  readonly #events = new EventEmitter<ManagerEvents>();
  readonly #transponders = new Map<string, Transponder>();
  /** Source stream and destination of every transponder, and of those that are being started: no pair twice. */
  readonly #taken = new Set<string>();
  /** Source streams of the transponders that are being started, by what they have taken. */
  readonly #starting = new Map<string, string>();
  readonly #ended: TransponderView[] = [];
  /** The ends of transponders that are over but still hold their connection, by what they had taken. */
  readonly #closing = new Map<string, Promise<void>>();
  #closed = false;

  constructor(options: TransponderManagerOptions) {
    this.#options = options;
    this.#events.setMaxListeners(0);
    options.registry.on('ended', (stream, reason) =>
      this.#endAll((transponder) => transponder.request.streamName === stream.name, reason),
    );
    if (options.autoStartUrl) options.registry.on('started', (stream) => this.#autoStart(stream));
  }

  async start(request: StartRequest): Promise<TransponderView> {
    const { encoders, sounds, environment, addressing } = this.#options;
    // Either of the two: WCS's own REST client sends false for whoever did not ask for anything.
    const fullUrl = addressing.fullUrl || (request.rtmpTransponderFullUrl ?? false);
    const destination = parseDestination(request.rtmpUrl, request.streamName, { ...addressing, fullUrl });
    const key = JSON.stringify([request.streamName, ...identity(destination)]);
    // One that has ended is gone for whoever asks; the server may not know yet, and would refuse the same name.
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
          ? { clip: await sounds.load(options.soundFile), loop: options.loop ?? false }
          : undefined;
      const lease = await encoders.acquire(stream, profile);
      if (this.#closed || stream.endedBy) {
        await lease.release();
        throw stream.endedBy ?? new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
      }
      const transponder = Transponder.start(
        { request, destination, lease, addresses, ...(sound && { sound }) },
        environment,
      );
      this.#keep(transponder, key);
      return transponder.view();
    } catch (error) {
      this.#taken.delete(key);
      // A publisher that leaves meanwhile takes its tracks along, whatever that looks like from here.
      throw stream.endedBy ?? error;
    } finally {
      this.#starting.delete(key);
    }
  }

  refuse(request: StartRequest, reason: GatewayError): void {
    this.#remember(refusedView(request, reason, this.#options.addressing));
  }

  find({ mediaSessionId, streamName, rtmpUrl }: TransponderFilter): TransponderView[] {
    const views = [...this.#transponders.values()]
      .map((transponder) => transponder.view())
      .filter(
        (view) =>
          (mediaSessionId === undefined || view.mediaSessionId === mediaSessionId) &&
          // The official demos filter by the published name, the documentation by the source's.
          (streamName === undefined || view.streamName === streamName || view.sourceStreamName === streamName) &&
          (rtmpUrl === undefined || view.rtmpUrl === rtmpUrl),
      );
    if (views.length === 0)
      throw new GatewayError('TRANSPONDER_NOT_FOUND', 'Transponder not found. /push/find_all lists those that exist.');
    return views;
  }

  ended(): TransponderView[] {
    return this.#ended.toReversed();
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
    const order = this.#get(mediaSessionId).orderSound();
    const clip = await this.#options.sounds.load(soundFile);
    // Looked up again: it may have ended while the file was read.
    this.#get(mediaSessionId).soundOn(clip, loop, order);
  }

  soundOff(mediaSessionId: string): void {
    this.#get(mediaSessionId).soundOff();
  }

  onChange(listener: (view: TransponderView) => void): () => void {
    this.#events.on('change', listener);
    return () => this.#events.off('change', listener);
  }

  /** Ends all and waits until nothing of them is left. */
  async close(reason: GatewayError): Promise<void> {
    this.#closed = true;
    this.#endAll(() => true, reason);
    await Promise.all(this.#closing.values());
  }

  #liveStream(name: string): LiveStream {
    const stream = this.#options.registry.find(name);
    if (!stream?.publisher)
      throw new GatewayError(
        'STREAM_NOT_FOUND',
        `Stream not found: nobody publishes ${JSON.stringify(name)}. Publish it first, then start the push.`,
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
    const sources = [
      ...this.#starting.values(),
      ...[...this.#transponders.values()].map(({ request }) => request.streamName),
    ];
    const ofStream = sources.filter((name) => name === stream.name).length;
    if (ofStream >= maxPerStream)
      throw new GatewayError(
        'LIMIT_REACHED',
        `Stream ${stream.name} already has ${ofStream} pushes (max_transponders_per_stream). Terminate one first.`,
      );
  }

  #keep(transponder: Transponder, key: string): void {
    this.#transponders.set(transponder.id, transponder);
    const closed = new Promise<void>((resolve) => {
      transponder.once('closed', () => {
        this.#taken.delete(key);
        this.#closing.delete(key);
        resolve();
      });
    });
    transponder.on('change', () => {
      if (transponder.status === 'ended' && this.#transponders.delete(transponder.id)) {
        this.#closing.set(key, closed);
        this.#remember(transponder.view());
      }
      this.#events.emit('change', transponder.view());
    });
  }

  #remember(view: TransponderView): void {
    this.#ended.push(view);
    if (this.#ended.length > this.#options.endedKept) this.#ended.shift();
  }

  #endAll(which: (transponder: Transponder) => boolean, reason: GatewayError): void {
    for (const transponder of [...this.#transponders.values()]) if (which(transponder)) void transponder.stop(reason);
  }

  #autoStart(stream: LiveStream): void {
    // The stream is registered first and its tracks are there, so this is like any other request.
    const request = { streamName: stream.name, rtmpUrl: this.#options.autoStartUrl };
    this.start(request).catch((thrown: unknown) => {
      const error = toGatewayError(thrown);
      this.#options.logger.warn(
        { stream: stream.name, code: error.code, reason: error.message },
        'rtmp_push_auto_start failed',
      );
      // Nobody was answered: the history alone can tell.
      this.refuse(request, error);
    });
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

/** A transponder that never was: everything that is known of it is why. */
function refusedView(request: StartRequest, reason: GatewayError, addressing: AddressingRules): TransponderView {
  const { streamName: sourceStreamName, rtmpUrl } = request;
  const now = new Date().toISOString();
  const nothing = {
    width: 0,
    height: 0,
    muted: false,
    soundEnabled: false,
    options: {},
    attempt: 0,
    bytesSent: 0,
    bitrate: 0,
    fps: 0,
    framesDropped: 0,
    bufferMs: 0,
  };
  const ended = {
    status: 'ended',
    reason: reason.message,
    reasonCode: reason.code,
    startedAt: now,
    endedAt: now,
  } as const;
  return {
    mediaSessionId: randomUUID(),
    streamName: '',
    rtmpUrl,
    ...nothing,
    ...ended,
    sourceStreamName,
    destination: redactedDestination(request, addressing),
  };
}

/** Empty where the URL is none. */
function redactedDestination({ rtmpUrl, streamName }: StartRequest, addressing: AddressingRules): string {
  try {
    return parseDestination(rtmpUrl, streamName, addressing).redacted;
  } catch {
    return '';
  }
}

/** What makes two destinations the same: the place on the server, not how the URL was written. */
function identity({ scheme, host, port, app, streamName }: Destination): (string | number)[] {
  return [scheme, host.toLowerCase(), port, app.reveal().replace(/\/+(?=\?|$)/, ''), streamName.reveal()];
}
