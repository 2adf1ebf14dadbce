import { busy, create, element } from './dom.js';
import { rememberDestinations, rememberedDestinations, withoutSecrets } from './memory.js';
import { visible } from './text.js';

/** A limit of this form only; the REST interface has none. */
const MAX_ROWS = 20;

/**
 * @typedef {object} Row one destination in the form
 * @property {HTMLLIElement} item
 * @property {HTMLInputElement} url
 * @property {HTMLInputElement} full
 * @property {HTMLElement} error
 * @property {import('./memory.js').Destination | undefined} restored what was remembered, until the URL is edited
 */

/** The form with the destinations and the button that starts the pushes. */
export class PushPanel {
  #list = element('destinations', HTMLOListElement);
  #button = element('start-push', HTMLButtonElement);
  #add = element('add-destination', HTMLButtonElement);
  /** @type {Row[]} */
  #rows = [];
  #options;

  /**
   * @param {object} options
   * @param {string | undefined} options.embeddedUrl suggested as the first destination
   * @param {() => string} options.streamName
   * @param {(request: import('../client/push-api.js').StartRequest) => Promise<unknown>} options.start
   */
  constructor(options) {
    this.#options = options;
    this.#add.addEventListener('click', () => {
      this.#addRow().url.focus();
      this.#remember();
    });
    element('push-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void busy(this.#button, () => this.#start());
    });
    const remembered = rememberedDestinations();
    for (const destination of remembered) this.#addRow(destination);
    if (remembered.length === 0) this.#addRow({ url: options.embeddedUrl ?? '', full: false, complete: true });
    // Not at each key: half a URL can have its password where the port is expected.
    this.#list.addEventListener('change', () => this.#remember());
    this.#button.disabled = false;
  }

  /** @param {import('./memory.js').Destination} [destination] without secrets */
  #addRow(destination = { url: '', full: false, complete: true }) {
    const { url: value, full: endsWithKey, complete } = destination;
    const number = String(this.#rows.length + 1);
    // An rtmpUrl may end with a stream key, so it is hidden like a password. A URL that the page fills in has no
    // secret.
    const url = create('input', {
      type: value ? 'text' : 'password',
      required: '',
      autocomplete: 'off',
      spellcheck: 'false',
      autocapitalize: 'none',
      placeholder: 'rtmp://host/application',
    });
    url.value = value;
    const show = create('button', { type: 'button' }, value ? 'Hide' : 'Show');
    const remove = create(
      'button',
      { type: 'button', class: 'danger', 'aria-label': `Remove destination ${number}` },
      '✕',
    );
    const full = create('input', { type: 'checkbox' });
    full.checked = endsWithKey;
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
    /** @type {Row} */
    const row = { item, url, full, error, restored: complete ? undefined : destination };
    if (!complete) {
      url.setCustomValidity('Complete this URL: keys and passwords are not stored.');
      error.textContent = 'Complete this URL before you start the push. Its key or password was not stored.';
    }

    /** @param {boolean} shown */
    const reveal = (shown) => {
      url.type = shown ? 'text' : 'password';
      show.textContent = shown ? 'Hide' : 'Show';
      this.#number();
    };
    let filledIn = Boolean(value);
    url.addEventListener('input', () => {
      if (filledIn) reveal(false);
      filledIn = false;
      row.restored = undefined;
      url.setCustomValidity('');
      error.textContent = '';
    });
    show.addEventListener('click', () => {
      filledIn = false;
      reveal(url.type === 'password');
    });
    remove.addEventListener('click', () => {
      this.#rows.splice(this.#rows.indexOf(row), 1);
      item.remove();
      this.#number();
      this.#remember();
      this.#add.focus();
    });
    this.#rows.push(row);
    this.#list.append(item);
    this.#number();
    return row;
  }

  #remember() {
    rememberDestinations(
      this.#rows.map(({ url, full, restored }) => restored ?? withoutSecrets(url.value, full.checked)),
    );
  }

  /** Numbers the rows and the labels of their buttons. The only row cannot be removed. */
  #number() {
    this.#rows.forEach(({ item }, index) => {
      const [label] = item.querySelectorAll('label');
      if (label?.firstChild) label.firstChild.textContent = `Destination ${index + 1} (rtmpUrl)`;
      const [show, remove] = item.querySelectorAll('button');
      show?.setAttribute('aria-label', `${show.textContent} destination ${index + 1}`);
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
          error.textContent = visible(/** @type {Error} */ (failure).message);
        }
      }),
    );
  }
}
