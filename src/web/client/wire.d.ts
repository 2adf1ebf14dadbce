/** What the gateway sends to pages and takes from them, as JSON. Times are ISO 8601. It imports nothing: the package contains it. */

/** `standby`: it pushes a standby picture or silence instead of live video. */
export type TransponderStatus = 'connecting' | 'pushing' | 'standby' | 'retrying' | 'ended';

export interface PublisherAway {
  readonly since: string;
  /** When the push ends unless the publisher is back. Unset for a push with standby that is not limited in time. */
  readonly until?: string;
}

/** In which codecs a push goes out, and why. */
export interface PushCodecs {
  /** `avc1`, `av01`, `vp09`, `vp08`; missing without video. */
  readonly video?: string;
  /** `mp4a`, `Opus`, `pcma`, `pcmu` or `speex`. */
  readonly audio: string;
  readonly why: string;
}

/** One thing that was checked, in words for users. */
export interface Verdict {
  readonly check: string;
  readonly level: 'ok' | 'warning' | 'error';
  readonly measured: string;
  /** What is asked for; empty where nothing is. */
  readonly rule: string;
  /** Who asks for it; empty where nothing is asked for. */
  readonly source: string;
  /** What to do; empty where nothing is to be done. */
  readonly remedy: string;
  /** Of the check of the codecs. */
  readonly codecs?: PushCodecs;
}

/** A rule of the platform that a push breaks at the moment. */
export interface PushWarning extends Omit<Verdict, 'level'> {
  readonly level: 'warning' | 'error';
  readonly since: string;
}

export interface Compliance {
  readonly mode: 'auto';
  /** What is sent. */
  readonly state: 'passing' | 'encoding';
  /** The rules that the publisher's stream breaks, or broke when the encoding began. */
  readonly because: readonly string[];
  /** Why the stream is not re-encoded although it should be. */
  readonly problem?: string;
}

/** What of a push goes to one destination. */
export interface TransponderLeg {
  readonly leg: 'primary' | 'backup';
  /** The URL without secrets. */
  readonly destination: string;
  /** `idle`: a cold backup that is not needed. */
  readonly status: 'idle' | 'connecting' | 'pushing' | 'retrying' | 'ended';
  readonly reason: string;
  readonly reasonCode: string;
  readonly attempt: number;
  readonly bytesSent: number;
  readonly bitrate: number;
  readonly fps: number;
  readonly framesDropped: number;
  readonly bufferMs: number;
}

/** The audio with which a push starts; without an action it is the live audio. */
export type TransponderOptions =
  | { readonly action?: undefined }
  | { readonly action: 'mute' }
  | { readonly action: 'sound_on'; readonly soundFile: string; readonly loop?: boolean };

/** A push. */
export interface Transponder {
  readonly mediaSessionId: string;
  /** The name on the RTMP server. */
  readonly streamName: string;
  readonly rtmpUrl: string;
  /** Pixels; 0 while unknown. */
  readonly width: number;
  readonly height: number;
  readonly muted: boolean;
  readonly soundEnabled: boolean;
  readonly options: TransponderOptions;
  readonly status: TransponderStatus;
  /** Why it retries, cannot show the live stream or its video, or has ended; empty otherwise. */
  readonly reason: string;
  /** The stable code of that reason. */
  readonly reasonCode: string;
  readonly sourceStreamName: string;
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
  readonly destinationId?: string;
  readonly groupId?: string;
  /** Present with a backup. */
  readonly backupMode?: 'hot' | 'cold';
  /** The primary, then the backup if there is one. */
  readonly legs: readonly TransponderLeg[];
  /** Present while the publisher is lost and its stream is held. */
  readonly publisherAway?: PublisherAway;
  readonly standbyEnabled?: true;
  /** Present while standby is shown. */
  readonly standby?: {
    readonly since: string;
    readonly reason: 'publisher' | 'video' | 'manual';
    readonly picture: 'freeze' | 'none' | 'image' | 'video' | 'color';
  };
  readonly platform?: string;
  readonly warnings?: readonly PushWarning[];
  readonly comply?: Compliance;
  readonly codecs?: PushCodecs;
}

/** The state of a push as the page that publishes the stream is told it. */
export interface TransponderEvent
  extends
    Pick<Transponder, 'mediaSessionId' | 'status' | 'reason'>,
    Partial<Pick<Transponder, 'publisherAway' | 'warnings' | 'comply' | 'codecs'>> {
  /** Without secrets. */
  readonly rtmpUrl: string;
}

/** Any of the three. Without a filter all are found. */
export interface TransponderFilter {
  readonly mediaSessionId?: string;
  readonly streamName?: string;
  readonly rtmpUrl?: string;
}

/** What of a standby picture is to be changed; what is unset stays as it is. */
export interface PictureChange {
  /** `none`: the video stops, audio goes on as silence. */
  readonly source?: 'image' | 'video' | 'color' | 'none';
  /** Name of a file in `media_dir`, for `image` and `video`. */
  readonly file?: string;
  /** `#rrggbb` */
  readonly color?: string;
  readonly text?: string;
}

/** What a push sends while its publisher is away. What is unset is as the settings say. */
export interface StandbyOptions extends PictureChange {
  /** Milliseconds for which the last frame is repeated first. */
  readonly freezeMs?: number;
  /** Milliseconds for which the push goes on without a publisher; 0: until it is terminated. */
  readonly holdMs?: number;
  /** Push before a stream of this name is published. */
  readonly startWithStandby?: boolean;
}

/** Where a push goes, and how: a URL, or the id of a platform and the stream key that it shows. */
export interface PushOrder {
  readonly rtmpUrl?: string;
  readonly platform?: string;
  readonly streamKey?: string;
  /** Push to the platform's backup server too. */
  readonly backup?: boolean;
  readonly width?: number;
  readonly height?: number;
  readonly fps?: number;
  /** Frames. */
  readonly keyFrameInterval?: number;
  readonly rtmpFlashVersion?: string;
  readonly rtmpTransponderFullUrl?: boolean;
  /** Re-encode the stream while it breaks rules of the platform. */
  readonly comply?: 'auto';
  readonly videoCodec?: 'auto' | 'h264' | 'source';
  readonly audioCodec?: 'auto' | 'aac' | 'source';
  readonly options?: TransponderOptions;
  readonly standby?: boolean | StandbyOptions;
  /** A second destination of the same stream. */
  readonly backupUrl?: string;
  readonly backupMode?: 'hot' | 'cold';
  /** Milliseconds without the primary after which a cold backup is connected. */
  readonly backupAfterMs?: number;
  readonly restore?: boolean;
  readonly restoreAttempts?: number;
  readonly restoreIntervalMs?: number;
  readonly restoreMaxIntervalMs?: number;
}

export interface PushRequest extends PushOrder {
  readonly streamName: string;
  /** A saved destination, in place of a URL. */
  readonly destinationId?: string;
}

/** Fields of a saved destination that may be saved and changed. `null` removes one. */
export type DestinationChange = { readonly [Field in keyof PushOrder]?: PushOrder[Field] | null } & {
  readonly name?: string;
  /** Streams whose own credentials, limited to certain streams, may use the destination: names, or patterns with `*`. */
  readonly allowStreams?: readonly string[] | null;
};

/** A saved destination. Its URLs and its key are not shown again. */
export interface SavedDestination extends Omit<PushOrder, 'rtmpUrl' | 'streamKey' | 'backupUrl'> {
  readonly id: string;
  readonly name: string;
  /** The URL without secrets. */
  readonly destination: string;
  /** The last characters of a long stream key. */
  readonly keyHint?: string;
  readonly backupDestination?: string;
  readonly allowStreams: readonly string[];
  /** The ids of the groups that it is in. */
  readonly groups: readonly string[];
  /** Why it cannot be used. */
  readonly problem?: string;
  readonly createdAt: string;
  readonly changedAt: string;
}

export interface GroupChange {
  readonly name?: string;
  readonly destinationIds?: readonly string[];
  /** Streams that go live with the group whenever they are published: names, or patterns with `*`. */
  readonly onPublish?: readonly string[];
}

export interface DestinationGroup extends Required<GroupChange> {
  readonly id: string;
  readonly createdAt: string;
  readonly changedAt: string;
}

interface GroupMember {
  readonly destinationId: string;
  readonly name: string;
  readonly verdicts: readonly Verdict[];
}
export interface GroupCheck extends GroupMember {
  /** The worst of the verdicts. */
  readonly level: Verdict['level'];
}
export interface GroupStart extends GroupMember {
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
  readonly file: string;
  readonly format: 'mp4' | 'flv';
  /** `finishing`: gets its index. `failed`: what was written before the failure can be played. */
  readonly state: 'recording' | 'finishing' | 'complete' | 'failed';
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly durationMs: number;
  readonly bytes: number;
  readonly framesDropped: number;
  /** Pixels; 0 without video. */
  readonly width: number;
  readonly height: number;
  /** Why it has ended; empty while it runs. */
  readonly reasonCode: string;
  readonly reason: string;
  /** Absent where no bucket is configured. */
  readonly storage?: {
    readonly state: 'waiting' | 'uploading' | 'retrying' | 'stored';
    readonly bucket: string;
    readonly key: string;
    readonly uploadedBytes: number;
    readonly storedAt?: string;
    /** Whether the file is on the disk of the gateway. */
    readonly local: boolean;
    readonly reasonCode: string;
    readonly reason: string;
  };
}

/** Codes of errors of the gateway: see docs/errors.md. */
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
