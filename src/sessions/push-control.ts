import type { GatewayError } from '../errors.ts';
import type { PushView } from '../views/push-view.ts';

/** A push that a client asks for along with a publication. */
export interface PushRequest {
  readonly streamName: string;
  readonly rtmpUrl: string;
}

/** A push with the options of `/push/startup`, which the transponders know. */
export interface OrderedPush {
  readonly rtmpUrl: string;
}

/** What publications need of the transponders. All methods throw {@link GatewayError}. */
export interface PushControl {
  /** Checks the request, starts the push and returns at once. */
  start(request: PushRequest, origin?: { readonly requestId?: string | undefined }): Promise<PushView>;
  /** Records a refused push in the history: the request that asked for it has been answered already. */
  refuse(request: PushRequest, reason: GatewayError): void;
  /** Never empty: throws TRANSPONDER_NOT_FOUND instead. */
  find(filter: PushRequest): PushView[];
  /** Runs `listener` for every change of a push; returns the function that removes it. */
  onChange(listener: (view: PushView) => void): () => void;
}
