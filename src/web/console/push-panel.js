import { busy, create, element } from './dom.js';

/** More rows than this do not help a person; the REST interface has no such limit. */
const MAX_ROWS = 20;

/**
 * @typedef {object} Row one destination as it is typed
 * @property {HTMLLIElement} item
 * @property {HTMLInputElement} url
 * @property {HTMLInputElement} full
 * @property {HTMLElement} error
 */

/** Where to push to, and the button that starts it. */
export class PushPanel {
  #list = element('destinations', HTMLOListElement);
  #button = element('start-push', HTMLButtonElement);
  #add = element('add-destination', HTMLButtonElement);
  /** @type {Row[]} */
  #rows = [];
  #options;

  /**
   * @param {object} options
   * @param {string | undefined} options.embeddedUrl the first destination that is offered
   * @param {() => string} options.streamName
   * @param {(request: import('../client/push-api.js').StartRequest) => Promise<unknown>} options.start
   */
  constructor(options) {
    this.#options = options;
    this.#add.addEventListener('click', () => this.#addRow().url.focus());
    element('push-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void busy(this.#button, () => this.#start());
    });
    this.#addRow(options.embeddedUrl);
    this.#button.disabled = false;
  }

  /** @param {string} [value] */
  #addRow(value = '') {
    const number = String(this.#rows.length + 1);
    // An rtmpUrl may end with a stream key, so it is covered like a password. The embedded server's address has no secret.
    const url = create('input', {
      type: value ? 'text' : 'password',
      required: '',
      autocomplete: 'off',
      spellcheck: 'false',
      autocapitalize: 'none',
      placeholder: 'rtmp://host/application',
    });
    url.value = value;
    const show = create(
      'button',
      { type: 'button', 'aria-pressed': String(Boolean(value)), 'aria-label': `Show destination ${number}` },
      value ? 'Hide' : 'Show',
    );
    const remove = create(
      'button',
      { type: 'button', class: 'danger', 'aria-label': `Remove destination ${number}` },
      '✕',
    );
    const full = create('input', { type: 'checkbox' });
    const error = create('p', { class: 'error', role: 'alert' });
    const item = create(
      'li',
      { class: 'destination' },
      create('label', {}, `Destination ${number} (rtmpUrl)`, url),
      show,
      remove,
      create('label', { class: 'check' }, full, 'The URL ends with the stream key'),
      error,
    );
    const row = { item, url, full, error };

    /** @param {boolean} visible */
    const cover = (visible) => {
      url.type = visible ? 'text' : 'password';
      show.textContent = visible ? 'Hide' : 'Show';
      show.setAttribute('aria-pressed', String(visible));
    };
    let offered = Boolean(value);
    url.addEventListener('input', () => {
      if (offered) cover(false);
      offered = false;
    });
    show.addEventListener('click', () => {
      offered = false;
      cover(url.type === 'password');
    });
    remove.addEventListener('click', () => {
      this.#rows.splice(this.#rows.indexOf(row), 1);
      item.remove();
      this.#number();
      this.#add.focus();
    });
    this.#rows.push(row);
    this.#list.append(item);
    this.#number();
    return row;
  }

  /** Keeps the numbers gapless and the last row. */
  #number() {
    this.#rows.forEach(({ item }, index) => {
      const [label] = item.querySelectorAll('label');
      if (label?.firstChild) label.firstChild.textContent = `Destination ${index + 1} (rtmpUrl)`;
      const [show, remove] = item.querySelectorAll('button');
      show?.setAttribute('aria-label', `Show destination ${index + 1}`);
      remove?.setAttribute('aria-label', `Remove destination ${index + 1}`);
      if (remove) remove.disabled = this.#rows.length === 1;
    });
    this.#add.disabled = this.#rows.length >= MAX_ROWS;
  }

  async #start() {
    const number = (/** @type {string} */ id) => Number(element(id, HTMLSelectElement).value) || undefined;
    const height = number('height');
    const fps = number('fps');
    const muted = element('start-muted', HTMLInputElement).checked;
    await Promise.all(
      this.#rows.map(async ({ url, full, error }) => {
        error.textContent = '';
        try {
          await this.#options.start({
            streamName: this.#options.streamName(),
            rtmpUrl: url.value.trim(),
            ...(height && { height }),
            ...(fps && { fps }),
            ...(full.checked && { rtmpTransponderFullUrl: true }),
            ...(muted && { options: { action: 'mute' } }),
          });
        } catch (failure) {
          error.textContent = /** @type {Error} */ (failure).message;
        }
      }),
    );
  }
}
