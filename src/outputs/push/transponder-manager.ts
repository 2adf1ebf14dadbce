import { EventEmitter } from 'node:events';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { PushReach } from './leg-state.ts';
import { OutputSet } from '../output-set.ts';
import type { Destination } from '../../net/destination.ts';
import type { CheckRequest } from './platforms/preflight.ts';
import type { TransponderView, Verdict } from '../../views/push-view.ts';
import { PushSlots, type PushSlot } from './push-slots.ts';
import { PushPreparation, type PushPreparationOptions } from './push-preparation.ts';
import { refusedView } from './make-views.ts';
import { loadPushSound } from './sound-loading.ts';
import { requireStandby } from './standby-renditions.ts';
import type { StoredPushes } from './record/stored-pushes.ts';
import { Transponder } from './transponder.ts';
import type { TransponderHistory } from './transponder-history.ts';
import type { PushIdentity } from './transponder-start.ts';
import type {
  RequestOrigin,
  PictureChange,
  StandbyRequest,
  StartRequest,
  TransponderControl,
  TransponderFilter,
} from './transponder-control.ts';
import { inBackground } from '../../runtime/in-background.ts';

export interface TransponderManagerOptions extends PushPreparationOptions {
  readonly maxTransponders: number;
  readonly maxPerStream: number;
  readonly history: TransponderHistory;
  /** What pushes send while their publisher is away, unless their request says something else. */
  readonly standbyByDefault?: StandbyRequest;
  /** The pushes that are continued when the gateway is started again. */
  readonly stored?: StoredPushes;
  /** The URL that every stream is pushed to (`rtmp_push_auto_start_url`); empty: none. */
  readonly autoStartUrl: string;
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
  readonly #preparation: PushPreparation;
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
    this.#slots = new PushSlots(options);
    this.#preparation = new PushPreparation(options);
    if (options.autoStartUrl) options.registry.on('started', (stream) => this.#autoStart(stream));
  }

  /** @param continued of a push that an earlier run of the gateway has left */
  async start(request: StartRequest, origin: RequestOrigin = {}, continued?: PushIdentity): Promise<TransponderView> {
    try {
      return await this.#start(request, this.#preparation.destinations(request), origin, continued);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      this.#options.logger.warn(
        {
          stream: request.streamName,
          destination: this.#preparation.redactedDestination(request),
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
    const { environment, stored } = this.#options;
    const request = { ...asked, standby: asked.standby ?? this.#options.standbyByDefault ?? false };
    const { streamName, standby } = request;
    // Until then the server would refuse the same name.
    for (let closing; (closing = this.#slots.closing(streamName, destinations));) await closing;
    const stream = this.#preparation.liveStream(request);
    // A push with standby does not end with its stream.
    const endOfStream = (): GatewayError | undefined => (standby ? undefined : stream?.endedBy);

    const slot = this.#slots.reserve(streamName, destinations);
    try {
      const start = await this.#preparation.prepare({
        ...{ request, destinations, stream, continued, signal },
        current: () => transponder.request,
      });
      if (this.#closed || endOfStream()) {
        start.rules?.close();
        await start.lease.release();
        throw endOfStream() ?? new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
      }
      const transponder: Transponder = Transponder.start({ ...start, requestId }, environment);
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
    return this.#preparation.check(request, signal);
  }

  refuse(request: StartRequest, reason: GatewayError): void {
    const view = refusedView(request, reason, this.#preparation.redactedDestination(request));
    this.#options.history.add(view);
    this.#events.emit('refused', view);
  }

  /** Records a push that an earlier run of the gateway has left and that cannot be continued. */
  abandon(request: StartRequest, { mediaSessionId, startedAt }: PushIdentity, reason: GatewayError): void {
    const view = {
      ...refusedView(request, reason, this.#preparation.redactedDestination(request)),
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

  #ended(view: TransponderView): void {
    // A push that is continued after the restart has not ended.
    if (!this.#options.stored?.ended(view)) this.#options.history.add(view);
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
    if (this.#slots.isTaken(request.streamName, this.#preparation.destinations(request)[0])) return;
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
