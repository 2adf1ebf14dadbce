import { ClientError } from './errors.js';

/**
 * @typedef {import('./wire.js').PublisherAway} PublisherAway
 * @typedef {import('./wire.js').Transponder} Transponder
 * @typedef {import('./wire.js').PushRequest} PushRequest
 * @typedef {import('./wire.js').Verdict} Verdict
 * @typedef {import('./wire.js').TransponderFilter} TransponderFilter
 *
 * @typedef {object} PushApiOptions
 * @property {string} [url] of the REST interface; `/rest-api` of the server of the page by default
 * @property {string} [apiKey] if the gateway has a `rest_api_key`
 */

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

/** The gateway's `/rest-api/push/*` methods. All of them throw {@link RestError}. */
export class PushApi {
  #url;
  /** @type {string | undefined} May be set later, when the gateway has required it. */
  apiKey;

  /** @param {PushApiOptions} [options] */
  constructor({ url = '/rest-api', apiKey } = {}) {
    this.#url = url.replace(/\/$/, '');
    this.apiKey = apiKey;
  }

  /**
   * Starts a push. The gateway connects in the background: {@link find} returns the state.
   *
   * @param {PushRequest} request
   * @returns {Promise<Transponder>}
   */
  async startup(request) {
    return /** @type {Transponder} */ (await this.#post('startup', request));
  }

  /**
   * Checks a push without starting it: the stream by the rules of the platform, and the way to the server. Takes up to
   * seven seconds.
   *
   * @param {PushRequest} request
   * @returns {Promise<Verdict[]>}
   */
  async check(request) {
    return /** @type {Verdict[]} */ (await this.#post('check', request));
  }

  /**
   * @param {TransponderFilter} [filter] all pushes by default
   * @returns {Promise<Transponder[]>} may be empty
   */
  async find(filter = {}) {
    try {
      return /** @type {Transponder[]} */ (await this.#post('find', filter));
    } catch (error) {
      if (error instanceof RestError && error.code === 'TRANSPONDER_NOT_FOUND') return [];
      throw error;
    }
  }

  /** @param {string} mediaSessionId */
  async terminate(mediaSessionId) {
    await this.#post('terminate', { mediaSessionId });
  }

  /** Sends silence to the destination. @param {string} mediaSessionId */
  async mute(mediaSessionId) {
    await this.#post('mute', { mediaSessionId });
  }

  /** @param {string} mediaSessionId */
  async unmute(mediaSessionId) {
    await this.#post('unmute', { mediaSessionId });
  }

  /**
   * Sends a sound file from the gateway's media directory instead of the live audio.
   *
   * @param {string} mediaSessionId
   * @param {string} soundFile the name of a RIFF WAV file
   * @param {boolean} [loop]
   */
  async soundOn(mediaSessionId, soundFile, loop = false) {
    await this.#post('sound_on', { mediaSessionId, soundFile, loop });
  }

  /** @param {string} mediaSessionId */
  async soundOff(mediaSessionId) {
    await this.#post('sound_off', { mediaSessionId });
  }

  /**
   * Switches a push that has standby to its standby picture, or back to the live stream.
   *
   * @param {string} mediaSessionId
   * @param {boolean | undefined} on unset: as it is
   * @param {import('./wire.js').PictureChange} [picture] what is to be changed
   */
  async standby(mediaSessionId, on, picture = {}) {
    await this.#post('standby', { mediaSessionId, on, ...picture });
  }

  /**
   * @param {string} method
   * @param {object} body
   */
  #post(method, body) {
    return request(
      `${this.#url}/push/${method}`,
      { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } },
      this.apiKey,
    );
  }
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
