import type { GatewayError } from '../errors.ts';

/** A push that a client asks for along with a publication. */
export interface PushRequest {
  readonly streamName: string;
  readonly rtmpUrl: string;
}

/** A push with the options of `/push/startup`, which the transponders know. */
export interface OrderedPush {
  readonly rtmpUrl: string;
}

/** What a publishing client learns of a push. */
export interface PushView {
  /** Empty for a push that was refused. */
  readonly mediaSessionId: string;
  readonly sourceStreamName: string;
  /** The URL without secrets. */
  readonly destination: string;
  readonly status: string;
  /** Why the push retries or has ended; empty while it runs. */
  readonly reason: string;
  /** Set while the publisher is lost and its stream is held. ISO times. */
  readonly publisherAway?: { readonly since: string; readonly until?: string };
  /** The rules of its platform that the push breaks; missing for other destinations. */
  readonly warnings?: readonly { readonly check: string; readonly level: string; readonly since: string }[];
  /** Whether the stream is passed through or re-encoded, where that depends on rules. */
  readonly comply?: { readonly state: string; readonly because: readonly string[] };
  /** In which codecs it goes out, and why. */
  readonly codecs?: { readonly video?: string; readonly audio: string; readonly why: string };
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
