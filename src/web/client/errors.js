/**
 * Codes of errors in the page.
 *
 * @typedef {'INSECURE_CONTEXT' | 'UNSUPPORTED_BROWSER' | 'UNSUPPORTED_CODEC' | 'PERMISSION_DENIED' | 'DEVICE_NOT_FOUND'
 *   | 'DEVICE_BUSY' | 'DEVICE_LOST' | 'CONSTRAINTS' | 'CAMERA' | 'AUTOPLAY_REFUSED' | 'DISCONNECTED'
 *   | 'CONNECTION_REFUSED' | 'TOKEN_EXPIRED' | 'MEDIA_BLOCKED' | 'STREAM_FAILED' | 'UNKNOWN'} ClientErrorCode
 *
 * @typedef {import('./wire.js').GatewayErrorCode} GatewayErrorCode
 *
 * @typedef {ClientErrorCode | import('./wire.js').GatewayErrorCode} ErrorCode of the page itself, or of the gateway
 *
 * @typedef {ErrorOptions & { reasonCode?: import('./wire.js').GatewayErrorCode }} ClientErrorOptions
 */

const LATER = 'Try again in some seconds.';

/** What to do, by code. The codes of the gateway are those that pages meet often. */
const REMEDIES = /** @type {Partial<Record<ClientErrorCode | GatewayErrorCode, string>>} */ ({
  INSECURE_CONTEXT: 'Open this page at such an address.',
  UNSUPPORTED_BROWSER: 'Use a current version of Chrome, Edge, Firefox or Safari.',
  UNSUPPORTED_CODEC: 'Use another browser, or allow other codecs.',
  PERMISSION_DENIED: 'Allow both for this page, then try again.',
  DEVICE_NOT_FOUND: 'Plug one in, then try again.',
  DEVICE_BUSY: 'Close that program, then try again.',
  DEVICE_LOST: 'Plug it in again, or choose another one.',
  CONSTRAINTS: 'Choose a lower resolution.',
  AUTOPLAY_REFUSED: 'Try again after a click on the page, or mute the video.',
  DISCONNECTED: 'Check that the gateway runs and can be reached from here, then try again.',
  TOKEN_EXPIRED: 'Get a new token, then connect again.',
  MEDIA_BLOCKED: 'Use another network, or have the ports of the gateway opened in the firewall.',
  UNAUTHORIZED: 'Enter a key or a token that the gateway accepts.',
  FORBIDDEN: 'Use a key or a token that allows this.',
  STREAM_NAME_IN_USE: 'Choose another name, or end the stream that has this one.',
  STREAM_NOT_FOUND: 'Wait until the stream is published, then try again.',
  LOGIN_IN_USE: 'Choose another name.',
  LIMIT_REACHED: LATER,
  RATE_LIMITED: LATER,
  OVERLOADED: LATER,
  SHUTTING_DOWN: LATER,
  CLUSTER_UNAVAILABLE: LATER,
  NODE_LOST: LATER,
  WORKER_DIED: LATER,
});

/** Refusals of the gateway for which pages have a code of their own. */
const OWN_CODES = /** @type {Partial<Record<GatewayErrorCode, ClientErrorCode>>} */ ({
  TOKEN_EXPIRED: 'TOKEN_EXPIRED',
  NO_COMMON_CODECS: 'UNSUPPORTED_CODEC',
});

/** The errors of the library. The message is for the user: it says what is wrong, and mostly what to do. */
export class ClientError extends Error {
  /** @type {ErrorCode} */
  code;

  /**
   * @param {ErrorCode} code
   * @param {string} message
   * @param {ClientErrorOptions} [options]
   */
  constructor(code, message, { reasonCode, ...options } = {}) {
    super(message, options);
    this.name = 'ClientError';
    this.code = code;
    /** The code of the gateway, if it has refused something. */
    this.reasonCode = reasonCode;
    /** What to do, in one sentence. */
    this.remedy =
      (reasonCode && REMEDIES[reasonCode]) ??
      REMEDIES[code] ??
      'Try again. If this does not help, ask the operator of the gateway.';
  }
}

/**
 * An error of the page itself, with what to do in its message.
 *
 * @param {ClientErrorCode} code
 * @param {string} problem
 * @param {unknown} [cause]
 */
export const failure = (code, problem, cause) =>
  new ClientError(code, `${problem} ${REMEDIES[code] ?? ''}`.trim(), { cause });

/**
 * A refusal of the gateway.
 *
 * @param {ClientErrorCode} code unless pages have a code for the reason
 * @param {string} message
 * @param {unknown} reasonCode as the gateway has sent it; versions before 0.3 send none
 */
export function refusal(code, message, reasonCode) {
  const known = typeof reasonCode === 'string' ? /** @type {GatewayErrorCode} */ (reasonCode) : undefined;
  return new ClientError((known && OWN_CODES[known]) ?? code, message, { reasonCode: known });
}

/**
 * Whatever was thrown as an error of the library.
 *
 * @param {unknown} error
 * @param {ClientErrorCode} code unless it is one already
 */
export const toClientError = (error, code) =>
  error instanceof ClientError ? error : failure(code, error instanceof Error ? error.message : String(error), error);
