import { GatewayError } from '../../errors.ts';
import type { ComplianceView } from '../../renditions/compliance.ts';
import type { Verdict } from './platforms/verdict.ts';
import type { PushWarning } from './platforms/watch-state.ts';

/** A transponder as REST answers, WebSocket events and the console show it. */

export type TransponderStatus = 'connecting' | 'pushing' | 'retrying' | 'ended';

export interface SoundOptions {
  readonly action: 'sound_on';
  readonly soundFile: string;
  readonly loop?: boolean;
}
/** The `options` of `/push/startup`. */
export type TransponderOptions = { readonly action?: undefined } | { readonly action: 'mute' } | SoundOptions;

/** A validated `/push/startup`. */
export interface StartRequest {
  readonly streamName: string;
  readonly rtmpUrl: string;
  readonly width?: number;
  readonly height?: number;
  readonly fps?: number;
  /** Frames between key frames, as WCS counts it. */
  readonly keyFrameInterval?: number;
  readonly rtmpFlashVersion?: string;
  readonly rtmpTransponderFullUrl?: boolean;
  readonly options?: TransponderOptions;
  /** The platform that the push was requested for, in place of a URL. */
  readonly platform?: string;
  /** Re-encode the stream while it breaks rules of the platform. */
  readonly comply?: 'auto';
}

/** Any of the three. Without a filter all are found. */
export interface TransponderFilter {
  readonly mediaSessionId?: string;
  readonly streamName?: string;
  readonly rtmpUrl?: string;
}

/** ISO times. */
export interface PublisherAway {
  readonly since: string;
  /** When the stream and its pushes end unless the publisher is back. */
  readonly until: string;
}

/** The fields of WCS first, then further ones. */
export interface TransponderView {
  readonly mediaSessionId: string;
  /** The name on the RTMP server, prefix included. */
  readonly streamName: string;
  /** As it was sent to `startup`. Only authorised REST clients get it; others get the redacted URL. */
  readonly rtmpUrl: string;
  /** Pixels; 0 while unknown. */
  readonly width: number;
  readonly height: number;
  readonly muted: boolean;
  readonly soundEnabled: boolean;
  readonly options: TransponderOptions;

  readonly status: TransponderStatus;
  /** Why it retries or has ended; empty otherwise. */
  readonly reason: string;
  /** The stable code of that reason. */
  readonly reasonCode: string;
  readonly sourceStreamName: string;
  /** Reconnects since pushing was last steady: 0 during the first connection. */
  readonly attempt: number;
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly bytesSent: number;
  /** Kilobits per second over the last seconds. */
  readonly bitrate: number;
  readonly fps: number;
  readonly framesDropped: number;
  readonly bufferMs: number;
  /** The URL without secrets, for logs and pages. */
  readonly destination: string;
  /** Present while the publisher is lost and its stream is held. */
  readonly publisherAway?: PublisherAway;
  /** The platform by whose rules the push is watched, and those that it breaks at the moment. */
  readonly platform?: string;
  readonly warnings?: readonly PushWarning[];
  /** With `comply`: whether the stream is passed through or re-encoded, and why. */
  readonly comply?: ComplianceView;
}

/** What HTTP and signaling may do with transponders. All methods throw {@link GatewayError}. */
export interface TransponderControl {
  /** Checks the request, starts the push and returns without waiting for the connection. */
  start(request: StartRequest): Promise<TransponderView>;
  /**
   * Checks the stream and the way to the server without starting the push.
   *
   * @param signal aborted when nobody waits for the result
   */
  check(request: StartRequest, signal: AbortSignal): Promise<Verdict[]>;
  /**
   * Records a push in the history that was requested together with a publication and refused: the request for the
   * publication was answered before.
   */
  refuse(request: StartRequest, reason: GatewayError): void;
  /** @throws {GatewayError} TRANSPONDER_NOT_FOUND instead of an empty list */
  find(filter: TransponderFilter): TransponderView[];
  /** The transponders that have ended, with their reasons, the latest first. At most `ended_transponders_kept`. */
  ended(): TransponderView[];
  terminate(mediaSessionId: string): Promise<void>;
  mute(mediaSessionId: string): void;
  unmute(mediaSessionId: string): void;
  soundOn(mediaSessionId: string, soundFile: string, loop: boolean): Promise<void>;
  soundOff(mediaSessionId: string): void;
  /** Calls `listener` for every change of a transponder. Returns a function that stops it. */
  onChange(listener: (view: TransponderView) => void): () => void;
}

/** All transponders that have not ended. Unlike `find`, the list may be empty. */
export function listTransponders(control: TransponderControl): TransponderView[] {
  try {
    return control.find({});
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'TRANSPONDER_NOT_FOUND') return [];
    throw error;
  }
}
