import type { GatewayError } from '../errors.ts';
import { toGatewayError } from '../errors.ts';
import type { CheckRequest } from '../outputs/push/platforms/preflight.ts';
import type { Verdict } from '../outputs/push/platforms/verdict.ts';
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

/** The transponders of a node, which can continue those of another one. */
export interface ContinuablePushes extends TransponderControl {
  start(request: StartRequest, origin?: RequestOrigin, continued?: PushIdentity): Promise<TransponderView>;
  /** Ends a push for a reason of the gateway. */
  end(mediaSessionId: string, reason: GatewayError): void;
}

export interface StoringPushesOptions {
  readonly control: ContinuablePushes;
  readonly stored: StoredPushes;
  readonly directory: Directory;
  readonly resumeKeyOf: (stream: string) => string | undefined;
  /** Of pushes that get standby by the settings. */
  readonly standbyDefaults: StandbyRequest;
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

  constructor(options: StoringPushesOptions) {
    this.#options = options;
    this.#control = options.control;
    options.control.onChange((view) => this.#changed(view));
  }

  start(request: StartRequest, origin?: RequestOrigin): Promise<TransponderView> {
    return this.#start(request, origin, undefined);
  }

  /** Starts a stored push under its id: without a publisher in standby. */
  async continue(push: StoredPush, request: StartRequest, awaySince: Date): Promise<TransponderView> {
    const { standby } = request;
    const { id, startedAt, muted, held } = push;
    const continued: PushIdentity = {
      mediaSessionId: id,
      startedAt: startedAt === undefined ? new Date() : new Date(startedAt),
      awaySince,
    };
    const restarted: StartRequest = {
      ...request,
      ...(standby && { standby: { ...standby, startWithStandby: true } }),
      ...(muted && { options: { action: 'mute' } }),
    };
    const view = await this.#start(restarted, {}, { push, continued });
    if (held) await this.#control.standby(id, true, {});
    return view;
  }

  check(request: CheckRequest, signal: AbortSignal): Promise<Verdict[]> {
    return this.#control.check(request, signal);
  }

  refuse(request: StartRequest, reason: GatewayError): void {
    this.#control.refuse(request, reason);
  }

  find(filter: TransponderFilter): TransponderView[] {
    return this.#control.find(filter);
  }

  ended(): TransponderView[] {
    return this.#control.ended();
  }

  terminate(mediaSessionId: string): Promise<void> {
    return this.#control.terminate(mediaSessionId);
  }

  mute(mediaSessionId: string): void {
    this.#control.mute(mediaSessionId);
  }

  unmute(mediaSessionId: string): void {
    this.#control.unmute(mediaSessionId);
  }

  soundOn(mediaSessionId: string, soundFile: string, loop: boolean, signal?: AbortSignal): Promise<void> {
    return this.#control.soundOn(mediaSessionId, soundFile, loop, signal);
  }

  soundOff(mediaSessionId: string): void {
    this.#control.soundOff(mediaSessionId);
  }

  async standby(mediaSessionId: string, on: boolean | undefined, picture: PictureChange): Promise<void> {
    await this.#control.standby(mediaSessionId, on, picture);
    const push = this.#pushes.get(mediaSessionId);
    if (!push) return;
    const standby = { ...(push.order['standby'] as object), ...picture };
    this.#store({ ...push, order: { ...push.order, standby }, ...(on !== undefined && { held: on }) });
  }

  onChange(listener: (view: TransponderView) => void): () => void {
    return this.#control.onChange(listener);
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
    void this.#options.stored.started(push);
  }

  async #ended(id: string, reasonCode: string): Promise<void> {
    this.#pushes.delete(id);
    const { stored } = this.#options;
    stored.ended(id, reasonCode);
    const name = this.#names.get(id);
    if (!name) return;
    this.#names.delete(id);
    name.lease.lost.removeEventListener('abort', name.onLost);
    // Before the name is free, so that no other node continues it.
    await stored.flush();
    name.lease.release();
  }
}
