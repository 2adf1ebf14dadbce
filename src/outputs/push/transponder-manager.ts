import { EventEmitter } from 'node:events';
import { encodeProfile, type EncodeProfile } from '../../renditions/encode-profile.ts';
import type { EncoderPool } from '../../renditions/encoder-pool.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import type { PushReach } from './leg-state.ts';
import { OutputSet } from '../output-set.ts';
import { namingField, parseDestination, type AddressingRules, type Destination } from '../../net/destination.ts';
import { Preflight, type CheckRequest } from './platforms/preflight.ts';
import type { PushPlatforms } from './platforms/push-platforms.ts';
import type { TransponderView, Verdict } from '../../views/push-view.ts';
import type { WireCheck } from './platforms/wire-check.ts';
import type { CodecPair } from './codecs/codec-choice.ts';
import { PushCodecs, type PushCodecsOptions } from './codecs/push-codecs.ts';
import type { OpenedSource } from './codecs/push-media.ts';
import { PushSlots, type PushSlot } from './push-slots.ts';
import { PushSources, type PushSourceOptions } from './push-sources.ts';
import { refusedView } from './refused-view.ts';
import type { SoundLibrary } from './sound-library.ts';
import { loadPushSound } from './sound-loading.ts';
import { resolveDestinations } from './resolve-destinations.ts';
import { requireStandby, type StandbyRenditions } from './standby-renditions.ts';
import type { StoredPushes } from './record/stored-pushes.ts';
import { Transponder } from './transponder.ts';
import type { TransponderHistory } from './transponder-history.ts';
import type { PushIdentity, TransponderEnvironment } from './transponder-start.ts';
import type {
  RequestOrigin,
  PictureChange,
  StandbyRequest,
  StartRequest,
  TransponderControl,
  TransponderFilter,
} from './transponder-view.ts';
import { inBackground } from '../../runtime/in-background.ts';

export interface TransponderManagerOptions {
  readonly registry: StreamRegistry;
  readonly encoders: EncoderPool;
  readonly sounds: SoundLibrary;
  readonly environment: TransponderEnvironment;
  readonly platforms: PushPlatforms;
  readonly wire: Pick<WireCheck, 'check'>;
  readonly addressing: AddressingRules;
  readonly preserveAspectRatio: boolean;
  readonly codecs: PushCodecsOptions;
  readonly maxTransponders: number;
  readonly maxPerStream: number;
  readonly history: TransponderHistory;
  /** Unset: the push engine cannot do it. */
  readonly standby?: StandbyRenditions;
  /** What pushes send while their publisher is away, unless their request says something else. */
  readonly standbyByDefault?: StandbyRequest;
  /** The pushes that are continued when the gateway is started again. */
  readonly stored?: StoredPushes;
  /** The URL that every stream is pushed to (`rtmp_push_auto_start_url`); empty: none. */
  readonly autoStartUrl: string;
  readonly logger: Logger;
}

interface ManagerEvents {
  start: [view: TransponderView];
  refused: [view: TransponderView];
  change: [view: TransponderView];
}

/** All transponders: starts and finds them. They end with their streams, except those with standby. */
export class TransponderManager implements TransponderControl {
  readonly #options: TransponderManagerOptions;
  readonly #events = new EventEmitter<ManagerEvents>();
  readonly #transponders: OutputSet<Transponder>;
  readonly #slots: PushSlots;
  readonly #sources: PushSources;
  readonly #codecs: PushCodecs;
  readonly #preflight: Preflight;
  #closed = false;

  constructor(options: TransponderManagerOptions) {
    this.#options = options;
    this.#events.setMaxListeners(0);
    this.#transponders = new OutputSet(options.registry, {
      changed: (transponder) => {
        const view = transponder.view();
        if (transponder.status === 'ended') this.#ended(view);
        else options.stored?.changed(view);
        this.#events.emit('change', view);
      },
    });
    const { platforms, wire } = options;
    this.#slots = new PushSlots(options);
    this.#sources = new PushSources(options);
    this.#codecs = new PushCodecs(options.codecs, options);
    this.#preflight = new Preflight({
      wire,
      parse: (request, rtmpUrl) => this.#parse({ ...request, rtmpUrl }),
      platformOf: (request, destination) => platforms.of(request, destination),
      meterOf: (rendition) => platforms.meterOf(rendition),
      acquire: async (request, pair) =>
        options.encoders.acquire(
          this.#liveStream({ ...request, standby: false })!,
          this.#profile(request, pair ?? { video: 'h264', audio: options.codecs.otherAudio }),
        ),
      codecs: this.#codecs,
    });
    if (options.autoStartUrl) options.registry.on('started', (stream) => this.#autoStart(stream));
  }

  /** @param continued of a push that an earlier run of the gateway has left */
  async start(request: StartRequest, origin: RequestOrigin = {}, continued?: PushIdentity): Promise<TransponderView> {
    try {
      return await this.#start(request, this.#parseAll(request), origin, continued);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      this.#options.logger.warn(
        {
          stream: request.streamName,
          destination: this.#redactedDestination(request),
          code: error.code,
          reason: error.message,
          requestId: origin.requestId,
        },
        'push refused',
      );
      throw thrown;
    }
  }

  async #start(
    asked: StartRequest,
    destinations: readonly [Destination, ...Destination[]],
    { requestId, signal }: RequestOrigin,
    continued?: PushIdentity,
  ): Promise<TransponderView> {
    const { encoders, environment, stored } = this.#options;
    const request = { ...asked, standby: asked.standby ?? this.#options.standbyByDefault ?? false };
    const { streamName, standby } = request;
    // Until then the server would refuse the same name.
    for (let closing; (closing = this.#slots.closing(streamName, destinations));) await closing;
    const stream = this.#liveStream(request);
    // A push with standby does not end with its stream.
    const endOfStream = (): GatewayError | undefined => (standby ? undefined : stream?.endedBy);

    const slot = this.#slots.reserve(streamName, destinations);
    try {
      const rules = this.#codecs.rulesFor(request, continued?.published);
      const decision = await this.#codecs.decide(rules, destinations[0]);
      const profile = this.#profile(request, decision.pair);
      if (stream) encoders.check(stream, profile);
      if (standby) await requireStandby(this.#options.standby).check(standby);
      const [primary, backup] = await resolveDestinations(destinations, request, environment);
      const { options } = request;
      const until = { user: standby ? undefined : stream, end: 'ended', client: signal };
      const sound =
        options?.action === 'sound_on'
          ? await loadPushSound(this.#options.sounds, options, [decision.pair.audio], until)
          : undefined;
      const { destination } = primary!;
      const source = await this.#sources.open({
        request,
        destination,
        profile,
        stream,
        awaySince: continued?.awaySince,
      });
      const format = await encoders.audioFormat(profile.audioCodec);
      if (this.#closed || endOfStream()) {
        source.rules?.close();
        await source.lease.release();
        throw endOfStream() ?? new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
      }
      const transponder: Transponder = Transponder.start(
        {
          ...primary!,
          ...source,
          request,
          codecs: {
            decision,
            rules,
            format,
            open: (pair, awaySince) => this.#openVariant(transponder.request, destination, stream, pair, awaySince),
          },
          requestId,
          ...(continued && { continued }),
          ...(backup && { backup }),
          ...(sound && { sound }),
        },
        environment,
      );
      this.#keep(transponder, slot);
      stored?.started(transponder.id, request, transponder.startedAt);
      const view = transponder.view();
      this.#events.emit('start', view);
      await stored?.settled();
      return view;
    } catch (error) {
      slot.release();
      // When the stream has ended meanwhile, that is the reason, whatever error it caused here.
      throw endOfStream() ?? error;
    }
  }

  check(request: CheckRequest, signal: AbortSignal): Promise<Verdict[]> {
    return this.#preflight.check(request, signal);
  }

  refuse(request: StartRequest, reason: GatewayError): void {
    const view = refusedView(request, reason, this.#redactedDestination(request));
    this.#options.history.add(view);
    this.#events.emit('refused', view);
  }

  /** Records a push that an earlier run of the gateway has left and that cannot be continued. */
  abandon(request: StartRequest, { mediaSessionId, startedAt }: PushIdentity, reason: GatewayError): void {
    const view = {
      ...refusedView(request, reason, this.#redactedDestination(request)),
      mediaSessionId,
      startedAt: startedAt.toISOString(),
    };
    this.#options.history.add(view);
    this.#events.emit('change', view);
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
    await this.#options.stored?.settled();
  }

  /** Ends a push for a reason of the gateway. Without effect for one that has ended. */
  end(mediaSessionId: string, reason: GatewayError): void {
    inBackground(this.#transponders.get(mediaSessionId)?.stop(reason));
  }

  /** How far a push has come; `undefined`: it does not run. */
  reachOf(mediaSessionId: string): PushReach | undefined {
    return this.#transponders.get(mediaSessionId)?.reach;
  }

  /** Connects a push that waits for its next attempt. Without effect for one that does not. */
  retry(mediaSessionId: string): void {
    this.#transponders.get(mediaSessionId)?.retry();
  }

  /** Resolves when the pushes of the stream that have ended have closed their connections. */
  closed(streamName: string): Promise<void> {
    return this.#transponders.closed(streamName);
  }

  mute(mediaSessionId: string): void {
    this.#get(mediaSessionId).mute();
  }

  unmute(mediaSessionId: string): void {
    this.#get(mediaSessionId).unmute();
  }

  async soundOn(mediaSessionId: string, soundFile: string, loop: boolean, signal?: AbortSignal): Promise<void> {
    const transponder = this.#get(mediaSessionId);
    const order = transponder.orderSound();
    const until = { user: transponder, end: 'closed', client: signal };
    const sound = await loadPushSound(this.#options.sounds, { soundFile, loop }, transponder.audioCodecs, until);
    // Looked up again, because it may have ended while the file was read.
    this.#get(mediaSessionId).soundOn(sound, order);
    this.#options.stored?.soundOn(mediaSessionId, soundFile, loop);
  }

  soundOff(mediaSessionId: string): void {
    this.#get(mediaSessionId).soundOff();
  }

  async standby(mediaSessionId: string, on: boolean | undefined, picture: PictureChange): Promise<void> {
    const { standbys } = this.#get(mediaSessionId);
    if (standbys.length === 0)
      throw new GatewayError(
        'INVALID_REQUEST',
        'This push has no standby. Start it with the field standby, for example {"standby": true}.',
      );
    const changes =
      Object.keys(picture).length > 0
        ? await Promise.all(
            standbys.map((rendition) => requireStandby(this.#options.standby).prepareChange(rendition, picture)),
          )
        : [];
    // Looked up again, because it may have ended while the file was checked.
    const transponder = this.#get(mediaSessionId);
    for (const change of changes) transponder.changedStandby(change());
    if (on !== undefined) transponder.hold(on);
    this.#options.stored?.standby(mediaSessionId, on, picture);
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

  #profile(request: StartRequest, { video, audio }: CodecPair): EncodeProfile {
    const passes = video === 'h264' ? undefined : video;
    return encodeProfile(request, this.#options.preserveAspectRatio, audio, passes);
  }

  /** What a push that runs sends in other codecs. @param begun the stream that it was started with */
  async #openVariant(
    request: PushSourceOptions['request'],
    destination: Destination,
    begun: LiveStream | undefined,
    pair: CodecPair,
    awaySince: Date | undefined,
  ): Promise<OpenedSource> {
    const stream = this.#options.registry.find(request.streamName) ?? begun;
    const profile = this.#profile(request, pair);
    const format = await this.#options.encoders.audioFormat(pair.audio);
    const source = await this.#sources.open({ request, destination, profile, stream, awaySince });
    return { source, format };
  }

  #parse(request: StartRequest, url = request.rtmpUrl): Destination {
    const { addressing } = this.#options;
    // Either of the two: WCS's REST client sends false where the user has set nothing.
    const fullUrl = addressing.fullUrl || (request.rtmpTransponderFullUrl ?? false);
    return parseDestination(url, request.streamName, { ...addressing, fullUrl });
  }

  /** The destination, and the backup if there is one. */
  #parseAll(request: StartRequest): [Destination, ...Destination[]] {
    const primary = this.#parse(request);
    if (request.backupUrl === undefined) return [primary];
    return [primary, namingField('backupUrl', () => this.#parse(request, request.backupUrl))];
  }

  #ended(view: TransponderView): void {
    // A push that is continued after the restart has not ended.
    if (!this.#options.stored?.ended(view)) this.#options.history.add(view);
  }

  /** Empty for a URL that is not valid. */
  #redactedDestination(request: StartRequest): string {
    try {
      return this.#parse(request).redacted;
    } catch {
      return '';
    }
  }

  /** The stream to push; `undefined` if a push with standby may wait for it. */
  #liveStream({ streamName: name, standby }: StartRequest): LiveStream | undefined {
    const stream = this.#options.registry.find(name);
    if (!stream?.publisher && !(standby && standby.startWithStandby))
      throw new GatewayError(
        'STREAM_NOT_FOUND',
        `Stream not found: ${JSON.stringify(name)} is not published. Publish it first, then start the push.`,
      );
    return stream;
  }

  #keep(transponder: Transponder, slot: PushSlot): void {
    const closed = new Promise<void>((resolve) => transponder.once('closed', resolve));
    transponder.on('change', () => {
      if (transponder.status === 'ended') slot.ended(closed);
    });
    this.#transponders.add(transponder);
  }

  #autoStart(stream: LiveStream): void {
    const request = { streamName: stream.name, rtmpUrl: this.#options.autoStartUrl };
    // No client waits for an answer, so the failure goes into the history.
    this.#startUnlessRunning(request).catch((error: unknown) => this.refuse(request, toGatewayError(error)));
  }

  /** A push with standby has waited for the stream, and goes on. */
  async #startUnlessRunning(request: StartRequest): Promise<void> {
    if (this.#slots.isTaken(request.streamName, this.#parse(request))) return;
    await this.start(request);
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
