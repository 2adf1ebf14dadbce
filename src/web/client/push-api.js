import { RestError, RestPart } from './rest.js';

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

/** The gateway's `/rest-api/push/*` methods. All of them throw {@link RestError}. */
export class PushApi extends RestPart {
  /** @param {PushApiOptions} [options] */
  constructor({ url = '/rest-api', apiKey } = {}) {
    super(url, apiKey);
  }

  /**
   * Starts a push. The gateway connects in the background: {@link find} returns the state.
   *
   * @param {PushRequest} request
   * @returns {Promise<Transponder>}
   */
  async startup(request) {
    return await this.#post('startup', request);
  }

  /**
   * Checks a push without starting it: the stream by the rules of the platform, and the way to the server. Takes up to
   * seven seconds.
   *
   * @param {PushRequest} request
   * @returns {Promise<Verdict[]>}
   */
  async check(request) {
    return await this.#post('check', request);
  }

  /**
   * @param {TransponderFilter} [filter] all pushes by default
   * @returns {Promise<Transponder[]>} may be empty
   */
  async find(filter = {}) {
    try {
      return await this.#post('find', filter);
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
    return this.ask('POST', `push/${method}`, body);
  }
}
