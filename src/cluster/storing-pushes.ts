import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { CheckRequest } from '../outputs/push/platforms/preflight.ts';
import type { TransponderView, Verdict } from '../views/push-view.ts';
import type { PushReach } from '../outputs/push/leg-state.ts';
import {
  alignPush,
  continuedRequest,
  continuePush,
  identityOf,
  isSameRecord,
  recordOf,
  withSound,
  withStandby,
  withView,
  type PushRecord,
} from '../outputs/push/record/push-record.ts';
import type { PushIdentity } from '../outputs/push/transponder-start.ts';
import type {
  PictureChange,
  RequestOrigin,
  StandbyRequest,
  StartRequest,
  TransponderControl,
  TransponderFilter,
} from '../outputs/push/transponder-control.ts';
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
  readonly logger: Logger;
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
  /** Pushes of streams that another node owns, which this one is about to take, as they were when they were started. */
  readonly #prepared = new Map<string, StoredPush>();

  constructor(options: StoringPushesOptions) {
    this.#options = options;
    this.#control = options.control;
    options.control.onChange((view) => this.#changed(view));
  }

  start(request: StartRequest, origin?: RequestOrigin): Promise<TransponderView> {
    const { resumeKeyOf, standbyDefaults } = this.#options;
    return this.#run(request, async () => {
      const view = await this.#control.start(request, origin);
      const order = { ...request, ...(view.standbyEnabled && { standby: request.standby || standbyDefaults }) };
      const record = recordOf(order, view.startedAt, resumeKeyOf(request.streamName));
      return { view, push: { id: view.mediaSessionId, ...record } };
    });
  }

  /** Starts a stored push under its id, without a publisher in standby; or keeps one that was prepared. */
  async continue(push: StoredPush, request: StartRequest): Promise<TransponderView> {
    const prepared = this.#prepared.get(push.id);
    if (prepared && this.#control.reachOf(push.id) !== undefined) return this.#keep(prepared, push);
    return this.#run(continuedRequest(push, request), async () => {
      const view = await this.#startStored(push, request);
      // It may have its publisher, or lack its sound file.
      return { view, push: { ...withView(push, { ...view, muted: push.muted }), id: push.id } };
    });
  }

  /**
   * Connects a push of a stream that another node owns, under its id. Nobody sees it until {@link continue} keeps it or
   * {@link drop} ends it.
   */
  async prepare(push: StoredPush, request: StartRequest): Promise<void> {
    // It runs here already, or another hand-over prepares it.
    if (this.#pushes.has(push.id) || this.#prepared.has(push.id)) return;
    this.#prepared.set(push.id, push);
    try {
      await this.#startStored(push, request);
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
    this.#update(mediaSessionId, (push) => withSound(push, soundFile, loop));
  }

  soundOff(mediaSessionId: string): void {
    this.#visible(mediaSessionId).soundOff(mediaSessionId);
  }

  async standby(mediaSessionId: string, on: boolean | undefined, picture: PictureChange): Promise<void> {
    await this.#visible(mediaSessionId).standby(mediaSessionId, on, picture);
    this.#update(mediaSessionId, (push) => withStandby(push, on, picture));
  }

  onChange(listener: (view: TransponderView) => void): () => void {
    return this.#control.onChange(listener);
  }

  /** @throws {GatewayError} TRANSPONDER_NOT_FOUND for a push that is prepared only */
  #visible(id: string): TransponderControl {
    if (this.#prepared.has(id)) throw notFound();
    return this.#control;
  }

  #startStored(push: StoredPush, request: StartRequest): Promise<TransponderView> {
    const { id } = push;
    const identity = identityOf(id, push, wallClockDate());
    return continuePush(this.#control, { id, record: push, request, identity }, this.#options.logger);
  }

  /** This node owns the stream of a push that it has prepared. */
  async #keep(prepared: StoredPush, push: StoredPush): Promise<TransponderView> {
    const { stored, directory, logger } = this.#options;
    const { id, order } = push;
    const control = this.#control;
    try {
      this.#hold(id, await directory.claim(order.streamName));
      // As it is now at its former node.
      await alignPush(control, id, prepared, push, logger);
      const view = control.find({ mediaSessionId: id })[0]!;
      const kept = { ...withView(push, view), id };
      this.#prepared.delete(id);
      this.#pushes.set(id, kept);
      await stored.started(kept);
      return view;
    } catch (error) {
      control.end(id, toGatewayError(error));
      throw error;
    }
  }

  /** Starts a push and stores it, and claims the stream's name for one with standby. */
  async #run(
    { streamName, standby }: StartRequest,
    start: () => Promise<{ readonly view: TransponderView; readonly push: StoredPush }>,
  ): Promise<TransponderView> {
    const { stored, directory } = this.#options;
    // Nobody may publish it elsewhere meanwhile.
    const reserved = standby && standby.startWithStandby ? await directory.claim(streamName) : undefined;
    try {
      const { view, push } = await start();
      if (view.standbyEnabled) this.#hold(push.id, await directory.claim(streamName));
      this.#pushes.set(push.id, push);
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

  #changed(view: TransponderView): void {
    const { mediaSessionId: id, status, reasonCode } = view;
    if (status === 'ended') return inBackground(this.#ended(id, reasonCode));
    this.#update(id, (push) => withView(push, view));
  }

  #update(id: string, change: (record: PushRecord) => PushRecord): void {
    const push = this.#pushes.get(id);
    if (!push) return;
    const changed = { ...change(push), id };
    if (isSameRecord(push, changed)) return;
    this.#pushes.set(id, changed);
    inBackground(this.#options.stored.started(changed));
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

const notFound = (): GatewayError =>
  new GatewayError('TRANSPONDER_NOT_FOUND', 'Transponder not found. /push/find_all lists those that exist.');
