import { GatewayError } from '../../errors.ts';
import type { TransponderOptions, TransponderView, Verdict } from '../../views/push-view.ts';
import type { AudioChoice, VideoChoice } from './codecs/choices.ts';

/** Requests about pushes, and what may be done with them. */

/** What a push sends while its publisher is away. */
export interface StandbyRequest {
  /** Milliseconds for which the last frame is repeated first. */
  readonly freezeMs: number;
  /** What follows; `none`: the video stops, audio goes on as silence. */
  readonly source: 'image' | 'video' | 'color' | 'none';
  /** Name of a file in `media_dir`, for `image` and `video`. */
  readonly file?: string;
  /** `#rrggbb` */
  readonly color: string;
  readonly text?: string;
  /** Milliseconds for which the push goes on without a publisher; 0: until it is terminated. */
  readonly holdMs: number;
  /** Push before a stream of this name is published. */
  readonly startWithStandby: boolean;
}

/** What of a standby picture is to be changed; what is unset stays as it is. */
export type PictureChange = Partial<Pick<StandbyRequest, 'source' | 'file' | 'color' | 'text'>>;

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
  /** `undefined`: as the settings say. */
  readonly standby?: StandbyRequest | false;
  /** A second destination of the same stream. */
  readonly backupUrl?: string;
  /** Default: `hot`. */
  readonly backupMode?: 'hot' | 'cold';
  /** Milliseconds without the primary after which a cold backup is connected. */
  readonly backupAfterMs?: number;
  /** Instead of `rtmp_push_restore`, `rtmp_push_restore_attempts`, `…_interval_ms` and `…_backoff_cap_ms`. */
  readonly restore?: boolean;
  readonly restoreAttempts?: number;
  readonly restoreIntervalMs?: number;
  readonly restoreMaxIntervalMs?: number;
  /** The platform that the push was requested for, in place of a URL. */
  readonly platform?: string;
  /** Re-encode the stream while it breaks rules of the platform. */
  readonly comply?: 'auto';
  /** In which codecs it goes out, instead of `rtmp_video_codec` and `rtmp_audio_codec`. */
  readonly videoCodec?: VideoChoice;
  readonly audioCodec?: AudioChoice;
  /** The saved destination that the push was requested for, whose URL is not shown, and the group. */
  readonly destinationId?: string;
  readonly groupId?: string;
}

/** Any of the three. Without a filter all are found. */
export interface TransponderFilter {
  readonly mediaSessionId?: string;
  readonly streamName?: string;
  readonly rtmpUrl?: string;
}

/** Where a request comes from. */
export interface RequestOrigin {
  /** Appears in every log line about what the request starts. */
  readonly requestId?: string | undefined;
  /** The client has gone away: its answer is not needed any more. */
  readonly signal?: AbortSignal | undefined;
}

/** What HTTP and signaling may do with transponders. All methods throw {@link GatewayError}. */
export interface TransponderControl {
  /** Checks the request, starts the push and returns without waiting for the connection. */
  start(request: StartRequest, origin?: RequestOrigin): Promise<TransponderView>;
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
  soundOn(mediaSessionId: string, soundFile: string, loop: boolean, signal?: AbortSignal): Promise<void>;
  soundOff(mediaSessionId: string): void;
  /**
   * Switches a push to standby by hand, or back to its live stream, and changes the standby picture.
   *
   * @param on `undefined`: as it is
   * @throws {GatewayError} STANDBY_FILE_NOT_FOUND, STANDBY_FILE_INVALID, or INVALID_REQUEST for a push without standby
   */
  standby(mediaSessionId: string, on: boolean | undefined, picture: PictureChange): Promise<void>;
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
