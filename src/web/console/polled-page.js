import { Access } from './access.js';
import { element, say } from './dom.js';

const REFRESH_MS = 1000;

/**
 * A page that shows what the gateway has, asks for it again each second, and asks the user for a key where the gateway
 * requires one. It has the element `error`.
 */
export class PolledPage {
  #load;
  #failure = element('error', HTMLElement);
  #loading = false;
  #again = false;

  /** @param {() => Promise<void>} load asks for what is shown, and shows it */
  static async open(load) {
    const access = await Access.open(() => void page.refresh());
    const page = new PolledPage(access, load);
    return page;
  }

  /**
   * @private
   * @param {Access} access
   * @param {() => Promise<void>} load
   */
  constructor(access, load) {
    this.access = access;
    this.#load = load;
  }

  /** Shows the page from now on. */
  async start() {
    await this.refresh();
    setInterval(() => {
      if (!document.hidden && !this.access.isWaiting && !this.#loading) void this.refresh();
    }, REFRESH_MS);
  }

  /**
   * @param {string} path
   * @param {string} [method]
   * @param {object} [body]
   */
  ask(path, method = 'GET', body) {
    return this.access.ask(path, method, body);
  }

  /** Loads what is shown. A call while it is loading makes it load once more. */
  async refresh() {
    this.#again = this.#loading;
    if (this.#loading) return;
    this.#loading = true;
    try {
      await this.access.showRights();
      await this.#load();
      this.access.connected();
      say(this.#failure, '');
    } catch (error) {
      this.access.failed(error);
      say(this.#failure, error instanceof Error ? error.message : String(error));
    }
    this.#loading = false;
    if (this.#again) await this.refresh();
  }
}
