import { DestinationRow } from './destination-row.js';
import { busy, element } from './dom.js';
import { rememberDestinations, rememberedDestinations } from './memory.js';
import { visible } from './text.js';

/** A limit of this form only; the REST interface has none. */
const MAX_ROWS = 20;

/**
 * @typedef {import('../client/push-api.js').PushRequest} PushRequest
 * @typedef {Omit<PushRequest, 'streamName' | 'rtmpUrl' | 'platform' | 'streamKey'>} PushOptions
 */

/** The form with the destinations, and the buttons that check and start the pushes. */
export class PushPanel {
  #list = element('destinations', HTMLOListElement);
  #form = element('push-form', HTMLFormElement);
  #button = element('start-push', HTMLButtonElement);
  #check = element('check-push', HTMLButtonElement);
  #add = element('add-destination', HTMLButtonElement);
  #standby = element('standby', HTMLSelectElement);
  /** @type {DestinationRow[]} */
  #rows = [];
  /** @type {readonly import('./destination-row.js').Platform[]} */
  #platforms = [];
  #options;

  /**
   * @param {object} options
   * @param {string | undefined} options.embeddedUrl suggested as the first destination
   * @param {() => string} options.streamName
   * @param {(request: PushRequest) => Promise<unknown>} options.start
   * @param {(request: PushRequest) => Promise<readonly import('./destination-row.js').Verdict[]>} options.check
   */
  constructor(options) {
    this.#options = options;
    this.#add.addEventListener('click', () => {
      this.#addRow().focus();
      this.#remember();
    });
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      void busy(this.#button, () => this.#startAll());
    });
    this.#check.addEventListener('click', () => {
      if (this.#form.reportValidity()) void busy(this.#check, () => this.#checkAll());
    });
    this.#standby.addEventListener('change', () => this.#showStandbyFields());
    this.#showStandbyFields();
    const remembered = rememberedDestinations();
    for (const destination of remembered) this.#addRow(destination);
    if (remembered.length === 0) this.#addRow({ url: options.embeddedUrl ?? '', full: false, complete: true });
    // Not at each key: half a URL can have its password where the port is expected.
    this.#list.addEventListener('change', () => this.#remember());
    this.#button.disabled = false;
    this.#check.disabled = false;
  }

  /** @param {readonly import('./destination-row.js').Platform[]} platforms */
  showPlatforms(platforms) {
    this.#platforms = platforms.filter(({ ingest }) => ingest);
    for (const row of this.#rows) row.showPlatforms(this.#platforms);
  }

  /** @param {import('./memory.js').Destination} [destination] without secrets */
  #addRow(destination = { url: '', full: false, complete: true }) {
    const row = new DestinationRow(destination, () => {
      this.#rows.splice(this.#rows.indexOf(row), 1);
      row.element.remove();
      this.#number();
      this.#remember();
      this.#add.focus();
    });
    row.showPlatforms(this.#platforms);
    this.#rows.push(row);
    this.#list.append(row.element);
    this.#number();
    return row;
  }

  #remember() {
    rememberDestinations(this.#rows.map((row) => row.withoutSecrets));
  }

  /** Numbers the rows. The only row cannot be removed. */
  #number() {
    this.#rows.forEach((row, index) => row.place(index + 1, this.#rows.length === 1));
    this.#add.disabled = this.#rows.length >= MAX_ROWS;
  }

  #showStandbyFields() {
    const { value } = this.#standby;
    element('standby-fields', HTMLElement).hidden = value === '' || value === 'off';
    element('standby-file-field', HTMLElement).hidden = value !== 'image' && value !== 'video';
    element('standby-picture-fields', HTMLElement).hidden = value === 'none';
  }

  /** @returns {PushOptions} */
  get #chosen() {
    const number = (/** @type {string} */ id) => Number(element(id, HTMLSelectElement).value) || undefined;
    const height = number('height');
    const fps = number('fps');
    const muted = element('start-muted', HTMLInputElement).checked;
    const comply = element('comply', HTMLInputElement).checked;
    const standby = this.#chosenStandby;
    return {
      ...(height && { height }),
      ...(fps && { fps }),
      ...(muted && { options: { action: 'mute' } }),
      ...(comply && { comply: 'auto' }),
      ...(standby !== undefined && { standby }),
    };
  }

  /** @returns {PushOptions['standby']} */
  get #chosenStandby() {
    const source = this.#standby.value;
    if (source === '') return undefined;
    if (source === 'off') return false;
    const field = (/** @type {string} */ id) => element(id, HTMLInputElement);
    const minutes = field('standby-minutes').valueAsNumber;
    const picture =
      source === 'none' ? {} : { text: field('standby-text').value.trim(), color: field('standby-color').value };
    const file = field('standby-file').value.trim();
    return {
      source: /** @type {'color' | 'image' | 'video' | 'none'} */ (source),
      ...picture,
      ...((source === 'image' || source === 'video') && { file }),
      ...(Number.isFinite(minutes) && { holdMs: Math.round(minutes * 60_000) }),
      startWithStandby: field('standby-first').checked,
    };
  }

  #startAll() {
    return this.#forEachRow(async (row, request) => {
      row.showVerdicts([]);
      await this.#options.start(request);
    });
  }

  #checkAll() {
    return this.#forEachRow(async (row, request) => row.showVerdicts(await this.#options.check(request)));
  }

  /** @param {(row: DestinationRow, request: PushRequest) => Promise<void>} act */
  async #forEachRow(act) {
    const options = this.#chosen;
    await Promise.all(
      this.#rows.map(async (row) => {
        row.error = '';
        try {
          await act(row, { streamName: this.#options.streamName(), ...row.target, ...options });
        } catch (failure) {
          row.error = visible(/** @type {Error} */ (failure).message);
        }
      }),
    );
  }
}
