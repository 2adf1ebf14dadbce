/**
 * What the gateway sends to pages and takes from them, as JSON. Times are ISO 8601. Made from the schemas of the gateway:
 * UPDATE_CLIENT_TYPES=1 npm test -- test/unit/web/client/wire-types.test.ts
 */

export interface Transponder {
  readonly mediaSessionId: string;
  /** The name on the RTMP server, prefix included. */
  readonly streamName: string;
  /** As it was sent to /push/startup for REST clients that may control pushes; otherwise without secrets. */
  readonly rtmpUrl: string;
  /** Pixels; 0 until a frame has been read. */
  readonly width: number;
  readonly height: number;
  readonly muted: boolean;
  readonly soundEnabled: boolean;
  readonly options: TransponderOptions;
  /** standby: it pushes a standby picture or silence instead of live video. */
  readonly status: 'connecting' | 'pushing' | 'standby' | 'retrying' | 'ended';
  /** Why it retries, cannot show the live stream or its video, or has ended; empty otherwise. */
  readonly reason: string;
  /** The code of that reason: see docs/errors.md. */
  readonly reasonCode: string;
  readonly sourceStreamName: string;
  /** Reconnects since it last pushed for 30 s without a break. */
  readonly attempt: number;
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly bytesSent: number;
  /** Kilobits per second over the last seconds. */
  readonly bitrate: number;
  readonly fps: number;
  readonly framesDropped: number;
  readonly bufferMs: number;
  /** The URL without secrets. */
  readonly destination: string;
  /** The saved destination: rtmpUrl is then without secrets. */
  readonly destinationId?: string;
  /** The group with which it was started. */
  readonly groupId?: string;
  readonly publisherAway?: PublisherAway;
  /** The push has standby. */
  readonly standbyEnabled?: true;
  /** While standby is shown: since when, why, and what is shown. */
  readonly standby?: {
    readonly since: string;
    readonly reason: 'publisher' | 'video' | 'manual';
    readonly picture: 'freeze' | 'color' | 'image' | 'video' | 'none';
  };
  /** Present with a backup. */
  readonly backupMode?: 'hot' | 'cold';
  /** The primary connection, and the backup if there is one. Empty for a push that was refused. */
  readonly legs: readonly TransponderLeg[];
  /** The platform by whose rules the push is watched. */
  readonly platform?: string;
  readonly codecs?: PushCodecs;
  readonly comply?: Compliance;
  /** The rules that the push breaks. */
  readonly warnings?: readonly PushWarning[];
}

export interface TransponderLeg {
  readonly leg: 'primary' | 'backup';
  /** The URL without secrets; where the server has sent the push, that one. */
  readonly destination: string;
  /** idle: a cold backup that is not needed. */
  readonly status: 'idle' | 'connecting' | 'pushing' | 'retrying' | 'ended';
  /** Why it retries, cannot show the live stream or its video, or has ended; empty otherwise. */
  readonly reason: string;
  /** The code of that reason: see docs/errors.md. */
  readonly reasonCode: string;
  /** Reconnects since it last pushed for 30 s without a break. */
  readonly attempt: number;
  readonly bytesSent: number;
  /** Kilobits per second over the last seconds. */
  readonly bitrate: number;
  readonly fps: number;
  readonly framesDropped: number;
  readonly bufferMs: number;
}

/** The audio with which a push starts; without an action it is the live audio. */
export type TransponderOptions =
  | {
      readonly action: 'mute';
    }
  | {
      readonly action: 'sound_on';
      readonly soundFile: string;
      readonly loop?: boolean;
    }
  | {
      readonly action?: undefined;
    };

/** Set while the publisher is lost: since when, and when the push ends unless it returns. */
export interface PublisherAway {
  readonly since: string;
  readonly until?: string;
}

/** In which codecs the push goes out, and why. */
export interface PushCodecs {
  /** avc1, av01, vp09 or vp08; missing without video. */
  readonly video?: string;
  /** mp4a, Opus, pcma, pcmu or speex. */
  readonly audio: string;
  readonly why: string;
}

/** A rule of its platform that a push breaks. */
export interface PushWarning {
  readonly check: string;
  readonly measured: string;
  /** What is asked for; empty where nothing is. */
  readonly rule: string;
  /** Who asks for it; empty where nothing is asked for. */
  readonly source: string;
  /** What to do; empty where nothing is to be done. */
  readonly remedy: string;
  readonly level: 'warning' | 'error';
  readonly since: string;
}

/** With comply: whether the stream is passed through or re-encoded, and why. */
export interface Compliance {
  readonly mode: 'auto';
  /** What is sent. */
  readonly state: 'passing' | 'encoding';
  /** The rules that the stream of the publisher breaks, or broke when the encoding began. */
  readonly because: readonly string[];
  /** Why the stream is not re-encoded although it should be. */
  readonly problem?: string;
}

/** One thing that was checked, in words for users. */
export interface Verdict {
  readonly check: string;
  readonly measured: string;
  /** What is asked for; empty where nothing is. */
  readonly rule: string;
  /** Who asks for it; empty where nothing is asked for. */
  readonly source: string;
  /** What to do; empty where nothing is to be done. */
  readonly remedy: string;
  readonly level: 'ok' | 'warning' | 'error';
  readonly codecs?: PushCodecs;
}

export interface TransponderFilter {
  /** From the answer of /push/startup. */
  readonly mediaSessionId?: string;
  /** The name on the RTMP server, or the name here. */
  readonly streamName?: string;
  readonly rtmpUrl?: string;
}

export interface PushOrder {
  /** rtmp://[user:password@]host[:port]/application[/instance][/?query], or rtmps://. */
  readonly rtmpUrl?: string;
  /** In place of rtmpUrl, together with streamKey. GET /api/v1/platforms lists them. */
  readonly platform?: string;
  /** The stream key of the platform: a secret. */
  readonly streamKey?: string;
  /** With platform: push to its backup server too. */
  readonly backup?: boolean;
  /** Applies with height and avvideo_transcoder_preserve_aspect_ratio=false only. 0: unchanged. */
  readonly width?: number;
  /** Transcodes to this height. 0: unchanged. */
  readonly height?: number;
  /** Transcodes to this frame rate. 0: unchanged. */
  readonly fps?: number;
  /** Transcodes with this number of frames between key frames. 0: unchanged. */
  readonly keyFrameInterval?: number;
  readonly rtmpFlashVersion?: string;
  /** The published name is the last path segment of the URL with its query. */
  readonly rtmpTransponderFullUrl?: boolean;
  /** auto: re-encode the stream while it breaks rules of the platform, and only then. */
  readonly comply?: 'auto';
  /**
   * source: as published, an error where the server does not take it. auto: as published where the server
   * is known to take it, otherwise H.264. Unset: rtmp_video_codec.
   */
  readonly videoCodec?: 'auto' | 'h264' | 'source';
  /** The same for Opus. Unset: rtmp_audio_codec. */
  readonly audioCodec?: 'auto' | 'aac' | 'source';
  readonly options?:
    | {
        readonly action?: undefined;
      }
    | {
        readonly action: 'mute';
      }
    | {
        readonly action: 'sound_on';
        /** The name of a RIFF WAV file in media_dir. */
        readonly soundFile: string;
        /** Repeat the file until sound_off. */
        readonly loop?: boolean;
      };
  /** What is sent while the publisher is away. true: as the settings say. Unset: the setting standby. */
  readonly standby?: boolean | StandbyOptions;
  /** A second destination, which gets the same stream: another server, application or stream name. */
  readonly backupUrl?: string;
  /** hot: both at once. cold: the backup only while the primary is lost. Default: hot. */
  readonly backupMode?: 'hot' | 'cold';
  /** How long a cold backup waits for the primary. 0: unchanged. */
  readonly backupAfterMs?: number;
  /** Reconnect, instead of rtmp_push_restore. */
  readonly restore?: boolean;
  /** Reconnects in a row, instead of rtmp_push_restore_attempts. 0: unchanged. */
  readonly restoreAttempts?: number;
  /** Instead of rtmp_push_restore_interval_ms. 0: unchanged. */
  readonly restoreIntervalMs?: number;
  /** The interval doubles up to this one, instead of rtmp_push_restore_backoff_cap_ms. 0: unchanged. */
  readonly restoreMaxIntervalMs?: number;
}

export interface PictureChange {
  /** What is shown: a colour, a file in media_dir, or nothing. */
  readonly source?: 'color' | 'image' | 'video' | 'none';
  /** For image (PNG or JPEG) and video. */
  readonly file?: string;
  /** #rrggbb */
  readonly color?: string;
  /** Drawn on the picture. Empty: no text. */
  readonly text?: string;
}

export interface StandbyOptions {
  /** How long the last frame is repeated first. */
  readonly freezeMs?: number;
  /** What is shown: a colour, a file in media_dir, or nothing. */
  readonly source?: 'color' | 'image' | 'video' | 'none';
  /** For image (PNG or JPEG) and video. */
  readonly file?: string;
  /** #rrggbb */
  readonly color?: string;
  /** Drawn on the picture. Empty: no text. */
  readonly text?: string;
  /** How long the push goes on without a publisher. 0: until it is terminated. */
  readonly holdMs?: number;
  /** Push before a stream of this name is published. */
  readonly startWithStandby?: boolean;
}

export interface SavedDestinationState {
  readonly id: string;
  readonly name: string;
  /** The URL without secrets. */
  readonly destination: string;
  /** The last characters of a long stream key. */
  readonly keyHint?: string;
  readonly backupDestination?: string;
  readonly platform?: string;
  readonly allowStreams: readonly string[];
  /** The ids of the groups that it is in. */
  readonly groups: readonly string[];
  /** Why it cannot be used. */
  readonly problem?: string;
  readonly createdAt: string;
  readonly changedAt: string;
}

export interface DestinationGroup {
  readonly id: string;
  readonly name: string;
  readonly destinationIds: readonly string[];
  readonly onPublish: readonly string[];
  readonly createdAt: string;
  readonly changedAt: string;
}

export interface GroupChange {
  readonly name?: string;
  readonly destinationIds?: readonly string[];
  /** Streams that go live with this group whenever they are published. Exact, or with "*". */
  readonly onPublish?: readonly string[];
}

export interface GroupCheck {
  readonly destinationId: string;
  readonly name: string;
  readonly verdicts: readonly Verdict[];
  /** The worst of the verdicts. */
  readonly level: 'ok' | 'warning' | 'error';
}

export interface GroupStart {
  readonly destinationId: string;
  readonly name: string;
  readonly verdicts: readonly Verdict[];
  readonly status: 'started' | 'running' | 'refused';
  readonly push?: Transponder;
  /** Why it was refused. */
  readonly code?: string;
  readonly reason?: string;
}

export interface Recording {
  readonly id: string;
  /** The id of the first file of the recording that this file belongs to. */
  readonly series: string;
  /** 1 for the first file. */
  readonly part: number;
  readonly stream: string;
  /** In record_dir, and below /client/records/. */
  readonly file: string;
  readonly format: 'mp4' | 'flv';
  /** finishing: gets its index. failed: what was written before the failure can be played. */
  readonly state: 'recording' | 'finishing' | 'complete' | 'failed';
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly durationMs: number;
  readonly bytes: number;
  readonly framesDropped: number;
  readonly videoCodec?: 'h264' | 'vp8' | 'vp9' | 'av1';
  readonly audioCodec?: 'aac' | 'opus';
  /** Pixels; 0 without video. */
  readonly width: number;
  readonly height: number;
  /** Why it has ended: a code of docs/errors.md. Empty while it runs. */
  readonly reasonCode: string;
  readonly reason: string;
  /** Absent where no bucket is configured (s3_bucket). */
  readonly storage?: {
    /**
     * waiting: nothing is in the bucket yet. retrying: the last request failed. stored: the bucket has
     * confirmed the object.
     */
    readonly state: 'waiting' | 'uploading' | 'retrying' | 'stored';
    readonly bucket: string;
    readonly key: string;
    /** What the bucket has of it. */
    readonly uploadedBytes: number;
    readonly storedAt?: string;
    /** Whether the file is on the disk. */
    readonly local: boolean;
    /** Why it is retrying: a code of docs/errors.md; otherwise empty. */
    readonly reasonCode: string;
    readonly reason: string;
  };
}

/** A stable code: see docs/errors.md. */
export type GatewayErrorCode =
  | 'INVALID_REQUEST'
  | 'INVALID_RTMP_URL'
  | 'DESTINATION_NOT_RESOLVED'
  | 'DESTINATION_FORBIDDEN'
  | 'INVALID_SDP'
  | 'UNAUTHORIZED'
  | 'TOKEN_EXPIRED'
  | 'HOST_NOT_ALLOWED'
  | 'FORBIDDEN'
  | 'ROUTE_NOT_FOUND'
  | 'STREAM_NOT_FOUND'
  | 'TRANSPONDER_NOT_FOUND'
  | 'SESSION_NOT_FOUND'
  | 'NODE_NOT_FOUND'
  | 'CALL_NOT_FOUND'
  | 'ROOM_NOT_FOUND'
  | 'MEMBER_NOT_FOUND'
  | 'OBJECT_NOT_FOUND'
  | 'SOUND_FILE_NOT_FOUND'
  | 'RECORDING_NOT_FOUND'
  | 'STANDBY_FILE_NOT_FOUND'
  | 'SAVED_DESTINATION_NOT_FOUND'
  | 'DESTINATION_GROUP_NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'REQUEST_TIMEOUT'
  | 'TRANSPONDER_EXISTS'
  | 'CALL_EXISTS'
  | 'CALL_NOT_ESTABLISHED'
  | 'LOGIN_IN_USE'
  | 'STREAM_NAME_IN_USE'
  | 'RECORDING_EXISTS'
  | 'RECORDING_RUNNING'
  | 'SAVED_DESTINATION_EXISTS'
  | 'SAVED_DESTINATION_IN_USE'
  | 'DESTINATION_GROUP_EXISTS'
  | 'PRECONDITION_FAILED'
  | 'BODY_TOO_LARGE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'RANGE_NOT_SATISFIABLE'
  | 'NO_COMMON_CODECS'
  | 'CHECK_FAILED'
  | 'PRECONDITION_REQUIRED'
  | 'RATE_LIMITED'
  | 'SOUND_FILE_INVALID'
  | 'STANDBY_FILE_INVALID'
  | 'TRANSCODING_DISABLED'
  | 'RECORDING_DISABLED'
  | 'SIP_DISABLED'
  | 'CALLEE_FORBIDDEN'
  | 'SIP_DESTINATION_FORBIDDEN'
  | 'SIP_DESTINATION_NOT_RESOLVED'
  | 'NOT_IMPLEMENTED'
  | 'LIMIT_REACHED'
  | 'STREAM_NOT_READY'
  | 'DNS_UNAVAILABLE'
  | 'ACCESS_UNAVAILABLE'
  | 'STORAGE_UNAVAILABLE'
  | 'DESTINATION_UNREACHABLE'
  | 'DESTINATION_TIMEOUT'
  | 'DESTINATION_LOST'
  | 'DESTINATION_STALLED'
  | 'DESTINATION_PROTOCOL'
  | 'DESTINATION_REFUSED'
  | 'DESTINATION_AUTHENTICATION'
  | 'DESTINATION_TLS'
  | 'PUSHER_FAILED'
  | 'SIP_AUTH_FAILED'
  | 'SIP_NOT_FOUND'
  | 'SIP_BUSY'
  | 'SIP_NO_ANSWER'
  | 'SIP_REJECTED'
  | 'SIP_REDIRECTED'
  | 'SIP_UNREACHABLE'
  | 'SIP_TLS_FAILED'
  | 'SIP_REGISTER_FAILED'
  | 'SIP_MEDIA_TIMEOUT'
  | 'SIP_ENDED'
  | 'STREAM_STOPPED'
  | 'PUBLISHER_LOST'
  | 'PLAYER_LOST'
  | 'ENCODER_FAILED'
  | 'FRAME_TOO_LARGE'
  | 'VIDEO_UNUSABLE'
  | 'WORKER_DIED'
  | 'TERMINATED'
  | 'SHUTTING_DOWN'
  | 'OVERLOADED'
  | 'CLUSTER_UNAVAILABLE'
  | 'NODE_LOST'
  | 'DISK_FULL'
  | 'DISK_FAILED'
  | 'SETTINGS_INVALID'
  | 'SETUP_INCOMPLETE'
  | 'INTERNAL';
