import { RestPart } from './rest.js';

/**
 * @typedef {import('./wire.js').Recording} Recording
 *
 * @typedef {object} RecordingFilter
 * @property {string} [stream]
 * @property {Recording['state']} [state]
 * @property {number} [limit] 100 by default
 * @property {string} [after] the `next` of the page before
 */

/** Recordings at the gateway. All methods throw a `RestError`. */
export class Recordings extends RestPart {
  /** @param {import('./destinations.js').ServerOptions} [options] */
  constructor({ url = '', apiKey } = {}) {
    super(url, apiKey);
  }

  /** @param {string} streamName */
  async start(streamName) {
    await this.ask('POST', 'rest-api/stream/startRecording', { streamName });
  }

  /** @param {string} streamName */
  async stop(streamName) {
    await this.ask('POST', 'rest-api/stream/stopRecording', { streamName });
  }

  /**
   * The latest first.
   *
   * @param {RecordingFilter} [filter]
   * @returns {Promise<{ recordings: Recording[], next: string | null }>}
   */
  list(filter = {}) {
    const query = new URLSearchParams(Object.entries(filter).map(([name, value]) => [name, String(value)]));
    return this.ask('GET', `api/v1/recordings${query.size > 0 ? `?${query}` : ''}`);
  }

  /** @param {string} id */
  async remove(id) {
    await this.ask('DELETE', `api/v1/recordings/${encodeURIComponent(id)}`);
  }
}
