import type { GatewayError } from '../errors.ts';
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
import type { StandbyLeases } from './standby-leases.ts';
import type { StoredPushes } from './stored-pushes.ts';

/** The transponders of the node, which can also continue a push of another one. */
export interface ContinuingControl extends TransponderControl {
  start(request: StartRequest, origin?: RequestOrigin, continued?: PushIdentity): Promise<TransponderView>;
}

export interface StoringPushesOptions {
  readonly control: ContinuingControl;
  readonly stored: StoredPushes;
  readonly leases: StandbyLeases;
  readonly resumeKeyOf: (stream: string) => string | undefined;
  /** Of pushes whose request does not say; unset: none. */
  readonly standbyByDefault?: StandbyRequest | undefined;
}

/** The transponders of a node: what is started is stored before the answer, and what has ended is removed. */
export class StoringPushes implements TransponderControl {
  readonly #control: ContinuingControl;
  readonly #stored: StoredPushes;
  readonly #leases: StandbyLeases;
  readonly #resumeKeyOf: (stream: string) => string | undefined;
  readonly #standbyByDefault: StandbyRequest | undefined;

  constructor({ control, stored, leases, resumeKeyOf, standbyByDefault }: StoringPushesOptions) {
    this.#control = control;
    this.#stored = stored;
    this.#leases = leases;
    this.#resumeKeyOf = resumeKeyOf;
    this.#standbyByDefault = standbyByDefault;
    control.onChange(({ mediaSessionId, status, reasonCode }) => {
      if (status !== 'ended') return;
      stored.ended(mediaSessionId, reasonCode);
      leases.ended(mediaSessionId);
    });
  }

  /** With standby, the node owns the name of the stream as long as the push goes on. */
  async start(request: StartRequest, origin?: RequestOrigin): Promise<TransponderView> {
    const start = (): Promise<TransponderView> => this.#control.start(request, origin);
    const view = this.#standbyOf(request) ? await this.#leases.start(request.streamName, start) : await start();
    const order = { ...request };
    await this.#stored.started({
      id: view.mediaSessionId,
      order,
      resumeKey: this.#resumeKeyOf(request.streamName),
    });
    return view;
  }

  /**
   * Continues a push of a lost node in standby, under its id.
   *
   * @returns whether it is one with standby
   */
  async continue(id: string, request: StartRequest): Promise<boolean> {
    const standby = this.#standbyOf(request);
    if (!standby) return false;
    const now = new Date();
    const started = { ...request, standby: { ...standby, startWithStandby: true } };
    const identity = { mediaSessionId: id, startedAt: now, awaySince: now };
    await this.#leases.start(request.streamName, () => this.#control.start(started, {}, identity));
    return true;
  }

  check(request: StartRequest, signal: AbortSignal): Promise<Verdict[]> {
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

  standby(mediaSessionId: string, on: boolean | undefined, picture: PictureChange): Promise<void> {
    return this.#control.standby(mediaSessionId, on, picture);
  }

  onChange(listener: (view: TransponderView) => void): () => void {
    return this.#control.onChange(listener);
  }

  #standbyOf({ standby = this.#standbyByDefault }: StartRequest): StandbyRequest | undefined {
    return standby || undefined;
  }
}
