import { ClientError } from './errors.js';

/** An error answer of the REST interface. Status 0: there was no answer. */
export class RestError extends ClientError {
  /**
   * @param {number} status
   * @param {import('./errors.js').ClientErrorCode | import('./wire.js').GatewayErrorCode} code
   * @param {string} message
   * @param {ErrorOptions} [options]
   */
  constructor(status, code, message, options) {
    super(code, message, options);
    this.name = 'RestError';
    this.status = status;
  }
}

/** One part of the REST interface. */
export class RestPart {
  #url;
  /** @type {string | undefined} May be set later, when the gateway has required it. */
  apiKey;

  /**
   * @param {string} url
   * @param {string} [apiKey]
   */
  constructor(url, apiKey) {
    this.#url = url.replace(/\/$/, '');
    this.apiKey = apiKey;
  }

  /**
   * For subclasses.
   *
   * @internal
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>}
   * @throws {RestError}
   */
  ask(method, path, body) {
    return request(
      `${this.#url}/${path}`,
      { method, ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) },
      this.apiKey,
    );
  }
}

/**
 * Presents a new token before the old one expires: a publication or a playback goes on without an interruption.
 *
 * @param {string} streamName
 * @param {string} token of the same identity (`sub`)
 * @param {{ url?: string }} [options] `url` of the gateway; the server of the page by default
 * @returns {Promise<{ stream: string, sessions: number, expiresAt: string | null }>}
 * @throws {RestError}
 */
export function renewToken(streamName, token, { url = '' } = {}) {
  return new RestPart(url, token).ask('POST', `api/v1/streams/${encodeURIComponent(streamName)}/token`);
}

/**
 * Sends one request, with the gateway's conventions for keys and errors.
 *
 * @param {string} url
 * @param {RequestInit & { headers?: Record<string, string> }} init
 * @param {string} [apiKey]
 * @returns {Promise<unknown>} the body; undefined for an empty one
 * @throws {RestError}
 */
export async function request(url, init = {}, apiKey) {
  /** @type {Response} */
  let response;
  let text;
  try {
    response = await fetch(url, {
      ...init,
      headers: { ...init.headers, ...(apiKey && { authorization: `Bearer ${apiKey}` }) },
    });
    text = await response.text();
  } catch (error) {
    throw new RestError(0, 'DISCONNECTED', 'The gateway does not answer. Is it running?', { cause: error });
  }
  /** @type {unknown} */
  let body;
  try {
    body = text ? JSON.parse(text) : undefined;
  } catch {
    body = undefined;
  }
  if (response.ok) return body;
  const { exception, message } = /** @type {{ exception?: import('./wire.js').GatewayErrorCode, message?: string }} */ (
    body ?? {}
  );
  throw new RestError(response.status, exception ?? 'UNKNOWN', message ?? `The gateway answered ${response.status}`);
}
