/**
 * The error table: every error that a user can meet, with its code, its scope, whether a retry can help, and its HTTP
 * status.
 */

/** What an error concerns: one request, one destination, one stream, or the whole gateway. */
export type ErrorScope = 'request' | 'destination' | 'stream' | 'system';

interface ErrorKind {
  readonly scope: ErrorScope;
  readonly retryable: boolean;
  readonly httpStatus: number;
}

const kind = (scope: ErrorScope, httpStatus: number, retryable = false): ErrorKind => ({
  scope,
  httpStatus,
  retryable,
});

/** Codes are stable, because clients compare them. `docs/errors.md` explains each one, and a test compares the two. */
export const ERROR_KINDS = {
  // Requests
  INVALID_REQUEST: kind('request', 400),
  INVALID_RTMP_URL: kind('request', 400),
  DESTINATION_NOT_RESOLVED: kind('request', 400),
  DESTINATION_FORBIDDEN: kind('request', 400),
  INVALID_SDP: kind('request', 400),
  UNAUTHORIZED: kind('request', 401),
  TOKEN_EXPIRED: kind('request', 401),
  HOST_NOT_ALLOWED: kind('request', 403),
  FORBIDDEN: kind('request', 403),
  ROUTE_NOT_FOUND: kind('request', 404),
  STREAM_NOT_FOUND: kind('request', 404),
  TRANSPONDER_NOT_FOUND: kind('request', 404),
  SESSION_NOT_FOUND: kind('request', 404),
  NODE_NOT_FOUND: kind('request', 404),
  CALL_NOT_FOUND: kind('request', 404),
  ROOM_NOT_FOUND: kind('request', 404),
  MEMBER_NOT_FOUND: kind('request', 404),
  OBJECT_NOT_FOUND: kind('request', 404),
  SOUND_FILE_NOT_FOUND: kind('request', 404),
  RECORDING_NOT_FOUND: kind('request', 404),
  STANDBY_FILE_NOT_FOUND: kind('request', 404),
  SAVED_DESTINATION_NOT_FOUND: kind('request', 404),
  DESTINATION_GROUP_NOT_FOUND: kind('request', 404),
  METHOD_NOT_ALLOWED: kind('request', 405),
  REQUEST_TIMEOUT: kind('request', 408, true),
  TRANSPONDER_EXISTS: kind('request', 409),
  CALL_EXISTS: kind('request', 409),
  CALL_NOT_ESTABLISHED: kind('request', 409),
  LOGIN_IN_USE: kind('request', 409),
  STREAM_NAME_IN_USE: kind('request', 409),
  RECORDING_EXISTS: kind('request', 409),
  RECORDING_RUNNING: kind('request', 409),
  SAVED_DESTINATION_EXISTS: kind('request', 409),
  SAVED_DESTINATION_IN_USE: kind('request', 409),
  DESTINATION_GROUP_EXISTS: kind('request', 409),
  PRECONDITION_FAILED: kind('request', 412),
  BODY_TOO_LARGE: kind('request', 413),
  UNSUPPORTED_MEDIA_TYPE: kind('request', 415),
  RANGE_NOT_SATISFIABLE: kind('request', 416),
  NO_COMMON_CODECS: kind('request', 422),
  CHECK_FAILED: kind('request', 422),
  PRECONDITION_REQUIRED: kind('request', 428),
  RATE_LIMITED: kind('request', 429, true),
  SOUND_FILE_INVALID: kind('request', 400),
  STANDBY_FILE_INVALID: kind('request', 400),
  TRANSCODING_DISABLED: kind('request', 400),
  RECORDING_DISABLED: kind('request', 403),
  SIP_DISABLED: kind('request', 403),
  CALLEE_FORBIDDEN: kind('request', 403),
  SIP_DESTINATION_FORBIDDEN: kind('request', 400),
  SIP_DESTINATION_NOT_RESOLVED: kind('request', 400),
  NOT_IMPLEMENTED: kind('request', 501),
  LIMIT_REACHED: kind('request', 503, true),
  STREAM_NOT_READY: kind('request', 503, true),
  DNS_UNAVAILABLE: kind('request', 503, true),
  ACCESS_UNAVAILABLE: kind('request', 503, true),
  STORAGE_UNAVAILABLE: kind('request', 503, true),

  // Destinations
  DESTINATION_UNREACHABLE: kind('destination', 502, true),
  DESTINATION_TIMEOUT: kind('destination', 504, true),
  DESTINATION_LOST: kind('destination', 502, true),
  DESTINATION_STALLED: kind('destination', 504, true),
  DESTINATION_PROTOCOL: kind('destination', 502, true),
  DESTINATION_REFUSED: kind('destination', 502),
  DESTINATION_AUTHENTICATION: kind('destination', 502),
  DESTINATION_TLS: kind('destination', 502),
  PUSHER_FAILED: kind('destination', 500, true),

  // Calls
  SIP_AUTH_FAILED: kind('destination', 502),
  SIP_NOT_FOUND: kind('destination', 502),
  SIP_BUSY: kind('destination', 502, true),
  SIP_NO_ANSWER: kind('destination', 504, true),
  SIP_REJECTED: kind('destination', 502),
  SIP_REDIRECTED: kind('destination', 502),
  SIP_UNREACHABLE: kind('destination', 502, true),
  SIP_TLS_FAILED: kind('destination', 502),
  SIP_REGISTER_FAILED: kind('destination', 502),
  SIP_MEDIA_TIMEOUT: kind('destination', 504, true),
  SIP_ENDED: kind('destination', 410),

  // Streams
  STREAM_STOPPED: kind('stream', 410),
  PUBLISHER_LOST: kind('stream', 410),
  PLAYER_LOST: kind('stream', 410),
  ENCODER_FAILED: kind('stream', 500, true),
  FRAME_TOO_LARGE: kind('stream', 422),
  VIDEO_UNUSABLE: kind('stream', 422),
  WORKER_DIED: kind('stream', 503, true),

  // The gateway
  TERMINATED: kind('destination', 410),
  SHUTTING_DOWN: kind('system', 503, true),
  OVERLOADED: kind('system', 503, true),
  CLUSTER_UNAVAILABLE: kind('system', 503, true),
  NODE_LOST: kind('system', 503, true),
  DISK_FULL: kind('system', 507, true),
  DISK_FAILED: kind('system', 500, true),
  SETTINGS_INVALID: kind('system', 500),
  SETUP_INCOMPLETE: kind('system', 500),
  INTERNAL: kind('system', 500),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

/** An error for users: its message says what is wrong and what to do, and never contains a secret. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  /** Seconds after which a retry can help, where it is known. */
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions & { readonly retryAfterS?: number }) {
    super(message, options);
    this.name = 'GatewayError';
    this.code = code;
    this.retryAfterS = options?.retryAfterS;
  }

  get scope(): ErrorScope {
    return ERROR_KINDS[this.code].scope;
  }

  get retryable(): boolean {
    return ERROR_KINDS[this.code].retryable;
  }

  get httpStatus(): number {
    return ERROR_KINDS[this.code].httpStatus;
  }
}

/** Converts anything thrown to a {@link GatewayError}; unexpected errors get the code `fallback`. */
export function toGatewayError(error: unknown, fallback: ErrorCode = 'INTERNAL'): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError(fallback, error instanceof Error ? error.message : String(error), { cause: error });
}
