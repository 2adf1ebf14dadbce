import { PushApi, RestError, request } from '../client/index.js';
import { urlOf } from './base.js';
import { element } from './dom.js';
import { rightsText } from './text.js';

/** In `sessionStorage`, which ends with the tab, and only if the user asks for it: otherwise the key is in memory only. */
const STORAGE_KEY = 'webrtc-transponder.api-key';

/**
 * @typedef {object} Config `/console/config.json`
 * @property {string} version
 * @property {number} wsPort
 * @property {number | null} wssPort
 * @property {string} restBase
 * @property {number} resumeWindowMs how long the gateway holds the stream of a publisher that was lost
 * @property {{ rtmpUrl: string, playbackBase: string } | null} embedded
 * @property {boolean} [cluster] set by a manager of a cluster
 * @property {boolean} [rooms] set where rooms are on
 * @property {boolean} [calls] set where calls are on
 *
 * @typedef {import('../client/push-api.js').Transponder} Transponder
 *
 * @typedef {object} Principal an answer of `/api/v1/me`
 * @property {string} id
 * @property {readonly string[]} actions
 * @property {readonly string[]} [streams]
 * @property {readonly string[]} [destinations]
 * @property {string} [expiresAt]
 *
 * @typedef {object} Stream an entry of `/api/v1/streams`, as far as the page uses it
 * @property {string} name
 * @property {'live' | 'held'} status
 * @property {string | null} videoCodec
 * @property {import('../client/push-api.js').PublisherAway} [publisherAway]
 */

/** The gateway's REST interface as this page uses it, and the API key that the gateway may require. */
export class Access {
  #form = element('access', HTMLFormElement);
  #field = element('api-key', HTMLInputElement);
  #error = element('access-error', HTMLElement);
  #keep = element('keep-key', HTMLInputElement);
  #login = element('login', HTMLElement);
  #rights = element('rights', HTMLElement);
  /** The key whose rights are shown. @type {string | undefined} */
  #shown;

  /**
   * @param {Config} config
   * @param {() => void} changed called after a key was entered
   * @param {() => Promise<unknown>} leaving ends what the page does with the key, before it is forgotten
   */
  constructor(config, changed, leaving) {
    this.pushes = new PushApi({
      url: urlOf(config.restBase),
      apiKey: sessionStorage.getItem(STORAGE_KEY) ?? undefined,
    });
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.pushes.apiKey = this.#field.value;
      if (this.#keep.checked) sessionStorage.setItem(STORAGE_KEY, this.#field.value);
      else sessionStorage.removeItem(STORAGE_KEY);
      this.#field.value = '';
      this.#form.hidden = true;
      changed();
    });
    element('log-out', HTMLButtonElement).addEventListener('click', async () => {
      await leaving();
      // Whatever the page has in memory goes with the page.
      sessionStorage.clear();
      location.reload();
    });
  }

  /**
   * Headers for requests that are not made by {@link pushes}.
   *
   * @returns {Record<string, string>}
   */
  get headers() {
    const { apiKey } = this.pushes;
    return apiKey ? { authorization: `Bearer ${apiKey}` } : {};
  }

  /**
   * The pushes of all streams without their secrets, unlike the answers of `/push/find`.
   *
   * @param {{ ended: boolean }} which running pushes, or ended ones, the latest first
   * @returns {Promise<Transponder[]>}
   */
  async transponders({ ended }) {
    return /** @type {Transponder[]} */ (await this.#get(`/api/v1/transponders?ended=${ended}`));
  }

  /** @returns {Promise<import('./destination-row.js').Platform[]>} */
  async platforms() {
    return /** @type {import('./destination-row.js').Platform[]} */ (await this.#get('/api/v1/platforms'));
  }

  /** @returns {Promise<Stream[]>} */
  async streams() {
    return /** @type {Stream[]} */ (await this.#get('/api/v1/streams'));
  }

  /**
   * The latest recordings of a stream.
   *
   * @param {string} stream
   * @returns {Promise<import('./recording-list.js').Recording[]>}
   */
  async recordings(stream) {
    const query = new URLSearchParams({ stream, limit: '20' });
    return /** @type {{ recordings: import('./recording-list.js').Recording[] }} */ (
      await this.#get(`/api/v1/recordings?${query}`)
    ).recordings;
  }

  /** @param {string} id */
  async deleteRecording(id) {
    await request(urlOf(`/api/v1/recordings/${id}`), { method: 'DELETE' }, this.pushes.apiKey);
  }

  /** Shows what the key or token allows, once for each. */
  async showRights() {
    const { apiKey } = this.pushes;
    if (apiKey === this.#shown) return;
    const principal = /** @type {Principal} */ (await this.#get('/api/v1/me'));
    this.#shown = apiKey;
    this.#rights.textContent = rightsText(principal);
    this.#login.hidden = false;
  }

  /**
   * Shows the field for the key if the error means that the gateway requires one.
   *
   * @param {unknown} error
   * @returns {boolean} whether it does
   */
  asksForKey(error) {
    if (!(error instanceof RestError) || error.status !== 401) return false;
    sessionStorage.removeItem(STORAGE_KEY);
    this.#login.hidden = true;
    this.#error.textContent = this.pushes.apiKey === undefined ? '' : 'The gateway does not accept this key or token.';
    if (this.#form.hidden) {
      this.#form.hidden = false;
      this.#field.focus();
    }
    return true;
  }

  /** @param {string} path */
  #get(path) {
    return request(urlOf(path), {}, this.pushes.apiKey);
  }
}
