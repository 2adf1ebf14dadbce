/**
 * Codes of errors in the page. Errors of the REST interface have the codes of the gateway.
 *
 * @typedef {'INSECURE_CONTEXT' | 'PERMISSION_DENIED' | 'DEVICE_NOT_FOUND' | 'DEVICE_BUSY' | 'CONSTRAINTS' | 'CAMERA'
 *   | 'DISCONNECTED' | 'CONNECTION_REFUSED' | 'STREAM_FAILED'} ClientErrorCode
 */

/** An error with a message for the user, which says what to do. */
export class ClientError extends Error {
  /**
   * @param {ClientErrorCode} code
   * @param {string} message
   * @param {ErrorOptions} [options]
   */
  constructor(code, message, options) {
    super(message, options);
    this.name = 'ClientError';
    this.code = code;
  }
}
