import { RestError, request } from '../client/index.js';
import { urlOf } from './base.js';
import { element, say } from './dom.js';

/** The same as on the console's first page. */
const STORAGE_KEY = 'webrtc-transponder.api-key';
const REFRESH_MS = 1000;

/**
 * A page that shows what the gateway has, asks for it again each second, and asks the user for a key where the gateway
 * requires one. It has the elements `access`, `api-key`, `keep-key` and `error`.
 */
export class PolledPage {
  #load;
  #failure = element('error', HTMLElement);
  #form = element('access', HTMLFormElement);
  #field = element('api-key', HTMLInputElement);
  #key = sessionStorage.getItem(STORAGE_KEY) ?? undefined;
  #loading = false;
  #again = false;

  /** @param {() => Promise<void>} load asks for what is shown, and shows it */
  constructor(load) {
    this.#load = load;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#key = this.#field.value;
      if (element('keep-key', HTMLInputElement).checked) sessionStorage.setItem(STORAGE_KEY, this.#key);
      this.#field.value = '';
      this.#form.hidden = true;
      void this.refresh();
    });
  }

  /** Shows the page from now on. */
  async start() {
    await this.refresh();
    setInterval(() => {
      if (!document.hidden && this.#form.hidden && !this.#loading) void this.refresh();
    }, REFRESH_MS);
  }

  /**
   * @param {string} path
   * @param {string} [method]
   * @param {object} [body]
   */
  ask(path, method = 'GET', body) {
    const json = body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    return request(urlOf(path), { method, ...json }, this.#key);
  }

  /** Loads what is shown. A call while it is loading makes it load once more. */
  async refresh() {
    this.#again = this.#loading;
    if (this.#loading) return;
    this.#loading = true;
    try {
      await this.#load();
      say(this.#failure, '');
    } catch (error) {
      this.#show(error);
    }
    this.#loading = false;
    if (this.#again) await this.refresh();
  }

  /** @param {unknown} error */
  #show(error) {
    if (error instanceof RestError && error.status === 401) {
      sessionStorage.removeItem(STORAGE_KEY);
      if (this.#form.hidden) {
        this.#form.hidden = false;
        this.#field.focus();
      }
    }
    say(this.#failure, error instanceof Error ? error.message : String(error));
  }
}
