import type { GatewayError } from '../errors.ts';
import type { CheckRequest } from '../outputs/push/platforms/preflight.ts';
import type { Verdict } from '../outputs/push/platforms/verdict.ts';
import type {
  PictureChange,
  RequestOrigin,
  StartRequest,
  TransponderControl,
  TransponderFilter,
  TransponderView,
} from '../outputs/push/transponder-view.ts';
import type { StoredPushes } from './stored-pushes.ts';

/** The transponders of a node: what is started is stored before the answer, and what has ended is removed. */
export class StoringPushes implements TransponderControl {
  readonly #control: TransponderControl;
  readonly #stored: StoredPushes;
  readonly #resumeKeyOf: (stream: string) => string | undefined;

  constructor(control: TransponderControl, stored: StoredPushes, resumeKeyOf: (stream: string) => string | undefined) {
    this.#control = control;
    this.#stored = stored;
    this.#resumeKeyOf = resumeKeyOf;
    control.onChange(({ mediaSessionId, status, reasonCode }) => {
      if (status === 'ended') stored.ended(mediaSessionId, reasonCode);
    });
  }

  async start(request: StartRequest, origin?: RequestOrigin): Promise<TransponderView> {
    const view = await this.#control.start(request, origin);
    const order = { ...request };
    await this.#stored.started({
      id: view.mediaSessionId,
      order,
      resumeKey: this.#resumeKeyOf(request.streamName),
    });
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

  standby(mediaSessionId: string, on: boolean | undefined, picture: PictureChange): Promise<void> {
    return this.#control.standby(mediaSessionId, on, picture);
  }

  onChange(listener: (view: TransponderView) => void): () => void {
    return this.#control.onChange(listener);
  }
}
