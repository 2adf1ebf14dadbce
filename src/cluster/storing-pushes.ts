import { GatewayError, toGatewayError } from '../errors.ts';
import type { CheckRequest } from '../outputs/push/platforms/preflight.ts';
import type { Verdict } from '../outputs/push/platforms/verdict.ts';
import type { PushReach } from '../outputs/push/leg-state.ts';
import type { PushIdentity } from '../outputs/push/transponder-start.ts';
import type {
  PictureChange,
  RequestOrigin,
  StandbyRequest,
  StartRequest,
  TransponderControl,
  TransponderFilter,
  TransponderView,
} from '../outputs/push/transponder-view.ts';
import type { Directory, StreamLease } from '../streams/directory.ts';
import type { StoredPush, StoredPushes } from './stored-pushes.ts';
import { inBackground } from '../runtime/in-background.ts';
import { wallClockDate } from '../runtime/wall-clock.ts';

/** The transponders of a node, which can continue those of another one. */
export interface ContinuablePushes extends TransponderControl {
  start(request: StartRequest, origin?: RequestOrigin, continued?: PushIdentity): Promise<TransponderView>;
  /** Ends a push for a reason of the gateway. */
  end(mediaSessionId: string, reason: GatewayError): void;
  /** How far a push has come; `undefined`: it does not run. */
  reachOf(mediaSessionId: string): PushReach | undefined;
  /** Connects a push that waits for its next attempt. */
  retry(mediaSessionId: string): void;
  /** Resolves when the pushes of the stream that have ended have closed their connections. */
  closed(streamName: string): Promise<void>;
}

export interface StoringPushesOptions {
  readonly control: ContinuablePushes;
  readonly stored: StoredPushes;
  readonly directory: Directory;
  readonly resumeKeyOf: (stream: string) => string | undefined;
  /** Of pushes that get standby by the settings. */
  readonly standbyDefaults: StandbyRequest;
  /** Whether another node is about to take the stream. */
  readonly isGiven: (stream: string) => boolean;
}

/** A push with standby, which outlives its stream and therefore holds the stream's name itself. */
interface HeldName {
  readonly lease: StreamLease;
  readonly onLost: () => void;
}

/** The transponders of a node: what is started is stored before the answer, and what has ended is removed. */
export class StoringPushes implements TransponderControl {
  readonly #options: StoringPushesOptions;
  readonly #control: ContinuablePushes;
  /** As they are stored. */
  readonly #pushes = new Map<string, StoredPush>();
  readonly #names = new Map<string, HeldName>();
  /** Pushes of streams that another node owns, which this one is about to take. */
  readonly #prepared = new Set<string>();

  constructor(options: StoringPushesOptions) {
    this.#options = options;
    this.#control = options.control;
    options.control.onChange((view) => this.#changed(view));
  }

  start(request: StartRequest, origin?: RequestOrigin): Promise<TransponderView> {
    return this.#start(request, origin, undefined);
  }

  /** Starts a stored push under its id, without a publisher in standby; or keeps one that was prepared. */
  async continue(push: StoredPush, request: StartRequest, awaySince: Date): Promise<TransponderView> {
    const { id, held } = push;
    if (this.#prepared.has(id) && this.#control.reachOf(id) !== undefined) return this.#keep(push);
    const view = await this.#start(restarted(push, request), {}, { push, continued: identityOf(push, awaySince) });
    if (held) await this.#control.standby(id, true, {});
    return view;
  }

  /**
   * Connects a push of a stream that another node owns, under its id. Nobody sees it until {@link continue} keeps it or
   * {@link drop} ends it.
   */
  async prepare(push: StoredPush, request: StartRequest): Promise<void> {
    // It runs here already, or another hand-over prepares it.
    if (this.#pushes.has(push.id) || this.#prepared.has(push.id)) return;
    this.#prepared.add(push.id);
    try {
      await this.#control.start(restarted(push, request), {}, identityOf(push, wallClockDate()));
    } catch (error) {
      this.#prepared.delete(push.id);
      throw error;
    }
  }

  /** Ends a push that was prepared. Without effect for others, and for one that is still being prepared. */
  drop(id: string, reason: GatewayError): void {
    if (this.#prepared.has(id)) this.#control.end(id, reason);
  }

  /** Whether the push is prepared. */
  prepares(id: string): boolean {
    return this.#prepared.has(id);
  }

  /** Ids of the pushes with standby, by the name of the stream, which they hold. */
  holding(): ReadonlyMap<string, readonly string[]> {
    return Map.groupBy(this.#names.keys(), (id) => this.#names.get(id)!.lease.streamName);
  }

  check(request: CheckRequest, signal: AbortSignal): Promise<Verdict[]> {
    return this.#control.check(request, signal);
  }

  refuse(request: StartRequest, reason: GatewayError): void {
    this.#control.refuse(request, reason);
  }

  find(filter: TransponderFilter): TransponderView[] {
    const found = this.#control.find(filter).filter(({ mediaSessionId: id }) => !this.#prepared.has(id));
    if (found.length === 0) throw notFound();
    return found;
  }

  ended(): TransponderView[] {
    return this.#control.ended();
  }

  async terminate(mediaSessionId: string): Promise<void> {
    await this.#visible(mediaSessionId).terminate(mediaSessionId);
  }

  mute(mediaSessionId: string): void {
    this.#visible(mediaSessionId).mute(mediaSessionId);
  }

  unmute(mediaSessionId: string): void {
    this.#visible(mediaSessionId).unmute(mediaSessionId);
  }

  async soundOn(mediaSessionId: string, soundFile: string, loop: boolean, signal?: AbortSignal): Promise<void> {
    await this.#visible(mediaSessionId).soundOn(mediaSessionId, soundFile, loop, signal);
  }

  soundOff(mediaSessionId: string): void {
    this.#visible(mediaSessionId).soundOff(mediaSessionId);
  }

  async standby(mediaSessionId: string, on: boolean | undefined, picture: PictureChange): Promise<void> {
    await this.#visible(mediaSessionId).standby(mediaSessionId, on, picture);
    const push = this.#pushes.get(mediaSessionId);
    if (!push) return;
    const standby = { ...(push.order['standby'] as object), ...picture };
    this.#store({ ...push, order: { ...push.order, standby }, ...(on !== undefined && { held: on }) });
  }

  onChange(listener: (view: TransponderView) => void): () => void {
    return this.#control.onChange(listener);
  }

  /** @throws {GatewayError} TRANSPONDER_NOT_FOUND for a push that is prepared only */
  #visible(id: string): TransponderControl {
    if (this.#prepared.has(id)) throw notFound();
    return this.#control;
  }

  /** This node owns the stream of a push that it has prepared. */
  async #keep(push: StoredPush): Promise<TransponderView> {
    const { id, order, muted = false, held } = push;
    const control = this.#control;
    try {
      this.#hold(id, await this.#options.directory.claim(order.streamName));
      this.#prepared.delete(id);
      this.#pushes.set(id, push);
      // As it is now at its former node.
      if (muted) control.mute(id);
      else control.unmute(id);
      if (held) await control.standby(id, true, {});
      await this.#options.stored.started(push);
      return control.find({ mediaSessionId: id })[0]!;
    } catch (error) {
      control.end(id, toGatewayError(error));
      throw error;
    }
  }

  async #start(
    request: StartRequest,
    origin: RequestOrigin | undefined,
    earlier: { readonly push: StoredPush; readonly continued: PushIdentity } | undefined,
  ): Promise<TransponderView> {
    const { stored, directory, resumeKeyOf, standbyDefaults } = this.#options;
    const { streamName, standby } = request;
    // Nobody may publish it elsewhere meanwhile.
    const reserved = standby && standby.startWithStandby ? await directory.claim(streamName) : undefined;
    try {
      const view = await this.#control.start(request, origin, earlier?.continued);
      const id = view.mediaSessionId;
      if (view.standbyEnabled) this.#hold(id, await directory.claim(streamName));
      const push: StoredPush = earlier?.push ?? {
        id,
        order: { ...request, ...(view.standbyEnabled && { standby: standby || standbyDefaults }) },
        resumeKey: resumeKeyOf(streamName),
        startedAt: view.startedAt,
      };
      this.#pushes.set(id, push);
      await stored.started(push);
      return view;
    } finally {
      reserved?.release();
    }
  }

  #hold(id: string, lease: StreamLease): void {
    const onLost = (): void =>
      this.#control.end(id, toGatewayError(lease.lost.reason as unknown, 'STREAM_NAME_IN_USE'));
    this.#names.set(id, { lease, onLost });
    lease.lost.addEventListener('abort', onLost);
    if (lease.lost.aborted) onLost();
  }

  #changed({ mediaSessionId: id, status, reasonCode, muted }: TransponderView): void {
    if (status === 'ended') return void this.#ended(id, reasonCode);
    const push = this.#pushes.get(id);
    if (push && (push.muted ?? false) !== muted) this.#store({ ...push, muted });
  }

  #store(push: StoredPush): void {
    this.#pushes.set(push.id, push);
    inBackground(this.#options.stored.started(push));
  }

  async #ended(id: string, reasonCode: string): Promise<void> {
    const { stored, isGiven } = this.#options;
    const stream = this.#pushes.get(id)?.order.streamName;
    this.#pushes.delete(id);
    this.#prepared.delete(id);
    // Some servers end a connection when another one publishes under its name: that of the new node.
    const isReplaced = reasonCode.startsWith('DESTINATION_') && stream !== undefined && isGiven(stream);
    stored.ended(id, isReplaced ? 'SHUTTING_DOWN' : reasonCode);
    const name = this.#names.get(id);
    if (!name) return;
    this.#names.delete(id);
    name.lease.lost.removeEventListener('abort', name.onLost);
    // Before the name is free, so that no other node continues it.
    await stored.flush();
    name.lease.release();
  }
}

/** What a push keeps on another node. */
const identityOf = ({ id, startedAt }: StoredPush, awaySince: Date): PushIdentity => ({
  mediaSessionId: id,
  startedAt: startedAt === undefined ? wallClockDate() : new Date(startedAt),
  awaySince,
});

/** A request that starts without a publisher, if the push has standby. */
const restarted = ({ muted }: StoredPush, request: StartRequest): StartRequest => ({
  ...request,
  ...(request.standby && { standby: { ...request.standby, startWithStandby: true } }),
  ...(muted && { options: { action: 'mute' } }),
});

const notFound = (): GatewayError =>
  new GatewayError('TRANSPONDER_NOT_FOUND', 'Transponder not found. /push/find_all lists those that exist.');
