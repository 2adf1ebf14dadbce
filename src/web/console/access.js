import { PushApi, RestError, request } from '../client/index.js';
import { element } from './dom.js';

/** Gone when the tab is closed: a key has no business on the disk of whoever watches. */
const STORAGE_KEY = 'webrtc-transponder.api-key';

/**
 * The gateway's REST interface as this page uses it, and the API key that it may ask for.
 *
 * @typedef {object} Config what `/console/config.json` tells
 * @property {string} version
 * @property {number} wsPort
 * @property {number | null} wssPort
 * @property {string} restBase
 * @property {{ rtmpUrl: string, playbackBase: string } | null} embedded
 */
export class Access {
  #form = element('access', HTMLFormElement);
  #field = element('api-key', HTMLInputElement);
  #error = element('access-error', HTMLElement);

  /**
   * @param {Config} config
   * @param {() => void} changed called after a key was entered
   */
  constructor(config, changed) {
    this.pushes = new PushApi({ url: config.restBase, apiKey: sessionStorage.getItem(STORAGE_KEY) ?? undefined });
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.pushes.apiKey = this.#field.value;
      sessionStorage.setItem(STORAGE_KEY, this.#field.value);
      this.#field.value = '';
      this.#form.hidden = true;
      changed();
    });
  }

  /**
   * What a request that is not made by {@link pushes} needs beside its own headers.
   *
   * @returns {Record<string, string>}
   */
  get headers() {
    const { apiKey } = this.pushes;
    return apiKey ? { authorization: `Bearer ${apiKey}` } : {};
  }

  /**
   * The pushes of all streams, as they may be shown: without the secrets that `/push/find` gives back.
   *
   * @param {{ ended: boolean }} which those that run, or those that have ended, the latest first
   * @returns {Promise<import('../client/push-api.js').Transponder[]>}
   */
  async transponders({ ended }) {
    return /** @type {import('../client/push-api.js').Transponder[]} */ (
      await request(`/api/v1/transponders?ended=${ended}`, {}, this.pushes.apiKey)
    );
  }

  /**
   * Asks for the key where that is what an error means.
   *
   * @param {unknown} error
   * @returns {boolean} whether it was
   */
  asksForKey(error) {
    if (!(error instanceof RestError) || error.status !== 401) return false;
    this.#error.textContent = this.pushes.apiKey === undefined ? '' : 'The gateway does not accept this key.';
    if (this.#form.hidden) {
      this.#form.hidden = false;
      this.#field.focus();
    }
    return true;
  }
}
