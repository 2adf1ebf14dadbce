import { GatewayError } from '../../errors.ts';

/** What the REST interface and the publishing page are told of a transponder. */

export type TransponderStatus = 'connecting' | 'pushing' | 'retrying' | 'ended';

export interface SoundOptions {
  readonly action: 'sound_on';
  readonly soundFile: string;
  readonly loop?: boolean;
}
/** The seed's `options` of `/push/startup`. */
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
}

/** Any of the three; none finds all. */
export interface TransponderFilter {
  readonly mediaSessionId?: string;
  readonly streamName?: string;
  readonly rtmpUrl?: string;
}

/** WCS's fields first, then what WCS never tells. */
export interface TransponderView {
  readonly mediaSessionId: string;
  /** The name on the RTMP server, prefix included. */
  readonly streamName: string;
  /** As it was sent to `startup`; redacted wherever this leaves the gateway other than to an authorised REST client. */
  readonly rtmpUrl: string;
  /** Pixels; 0 as long as they are not known. */
  readonly width: number;
  readonly height: number;
  readonly muted: boolean;
  readonly soundEnabled: boolean;
  readonly options: TransponderOptions;

  readonly status: TransponderStatus;
  /** Why it retries or has ended; empty while all is well. */
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
}

/** What HTTP and signalling may ask of the transponders. All methods throw {@link GatewayError}. */
export interface TransponderControl {
  /** Checks the request, starts the push and returns at once; its connection goes on by itself. */
  start(request: StartRequest): Promise<TransponderView>;
  /** Remembers in the history a push that was asked for along with a publication and refused: its publisher was answered before. */
  refuse(request: StartRequest, reason: GatewayError): void;
  /** Never empty: TRANSPONDER_NOT_FOUND instead. */
  find(filter: TransponderFilter): TransponderView[];
  /** Ended ones with their reasons, the latest first; bounded by `ended_transponders_kept`. May be empty. */
  ended(): TransponderView[];
  terminate(mediaSessionId: string): Promise<void>;
  mute(mediaSessionId: string): void;
  unmute(mediaSessionId: string): void;
  soundOn(mediaSessionId: string, soundFile: string, loop: boolean): Promise<void>;
  soundOff(mediaSessionId: string): void;
  /** Runs `listener` for every change of state of a transponder; returns how to stop it. */
  onChange(listener: (view: TransponderView) => void): () => void;
}

/** All transponders that have not ended: may be empty, other than what `find` answers. */
export function listTransponders(control: TransponderControl): TransponderView[] {
  try {
    return control.find({});
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'TRANSPONDER_NOT_FOUND') return [];
    throw error;
  }
}
