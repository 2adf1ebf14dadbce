import { PushApi, RestError, request } from '../client/index.js';
import { urlOf } from './base.js';
import { element, say } from './dom.js';
import { connectShell, showAllowed } from './shell.js';
import { rightsText } from './text.js';

/** In `sessionStorage`, which ends with the tab, and only if the user asks for it: otherwise the key is in memory only. */
const STORAGE_KEY = 'webrtc-transponder.api-key';
const RETRY_MS = 1000;

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
  #logOut = element('log-out', HTMLButtonElement);
  #gateway = element('gateway', HTMLElement);
  #rights = element('rights', HTMLElement);
  /** The key whose rights are shown. @type {string | undefined} */
  #shown;
  /** @type {Principal | undefined} */
  principal;

  /**
   * Loads the configuration, until the gateway answers.
   *
   * @param {() => void} changed called after a key was entered
   * @param {() => Promise<unknown>} [leaving] ends what the page does with the key, before it is forgotten
   */
  static async open(changed, leaving = async () => undefined) {
    connectShell();
    for (;;) {
      try {
        const config = /** @type {Config} */ (await request(urlOf('/console/config.json')));
        element('version', HTMLElement).textContent = config.version;
        return new Access(config, changed, leaving);
      } catch (error) {
        say(element('gateway', HTMLElement), /** @type {Error} */ (error).message);
        element('gateway', HTMLElement).dataset['state'] = 'bad';
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /**
   * @private
   * @param {Config} config
   * @param {() => void} changed
   * @param {() => Promise<unknown>} leaving
   */
  constructor(config, changed, leaving) {
    this.config = config;
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
    this.#logOut.addEventListener('click', async () => {
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
    return /** @type {Transponder[]} */ (await this.ask(`/api/v1/transponders?ended=${ended}`));
  }

  /** @returns {Promise<import('./destination-row.js').Platform[]>} */
  async platforms() {
    return /** @type {import('./destination-row.js').Platform[]} */ (await this.ask('/api/v1/platforms'));
  }

  /** @returns {Promise<Stream[]>} */
  async streams() {
    return /** @type {Stream[]} */ (await this.ask('/api/v1/streams'));
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
      await this.ask(`/api/v1/recordings?${query}`)
    ).recordings;
  }

  /** @param {string} id */
  async deleteRecording(id) {
    await this.ask(`/api/v1/recordings/${id}`, 'DELETE');
  }

  /** Shows what the key or token allows, once for each. */
  async showRights() {
    const { apiKey } = this.pushes;
    if (apiKey === this.#shown) return;
    const principal = /** @type {Principal} */ (await this.ask('/api/v1/me'));
    this.#shown = apiKey;
    this.principal = principal;
    this.#rights.textContent = rightsText(principal);
    this.#login.hidden = false;
    this.#logOut.hidden = false;
    showAllowed(principal);
  }

  /** Whether the form for the key is open. */
  get isWaiting() {
    return !this.#form.hidden;
  }

  /** The gateway has answered. */
  connected() {
    this.#show('good', 'Gateway connected');
  }

  /**
   * Shows why a request has failed, and the form for the key if that is missing.
   *
   * @param {unknown} error
   * @returns {boolean} whether it is
   */
  failed(error) {
    if (this.asksForKey(error)) {
      this.#show('waiting', 'API key or token required');
      return true;
    }
    if (error instanceof RestError && error.status === 0) this.#show('bad', 'Gateway unreachable, trying again…');
    else this.#show('bad', error instanceof Error ? error.message : String(error));
    return false;
  }

  /**
   * @param {'good' | 'bad' | 'waiting'} state
   * @param {string} text
   */
  #show(state, text) {
    this.#gateway.dataset['state'] = state;
    if (this.#gateway.textContent !== text) this.#gateway.textContent = text;
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
    this.#logOut.hidden = true;
    this.#error.textContent = this.pushes.apiKey === undefined ? '' : 'The gateway does not accept this key or token.';
    if (this.#form.hidden) {
      this.#form.hidden = false;
      this.#field.focus();
    }
    return true;
  }

  /**
   * @param {string} path
   * @param {string} [method]
   * @param {object} [body]
   */
  ask(path, method = 'GET', body) {
    const json = body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    return request(urlOf(path), { method, ...json }, this.pushes.apiKey);
  }
}
