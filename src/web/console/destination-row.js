import { create } from './dom.js';
import { withoutSecrets } from './memory.js';
import { visible } from './text.js';
import { verdictItem } from './verdicts.js';

/**
 * @typedef {import('../../api/openapi/platform-answers.ts').PlatformView} Platform
 * @typedef {import('../client/wire.js').Verdict} Verdict
 * @typedef {import('./memory.js').Destination} Destination
 * @typedef {Pick<import('../client/push-api.js').PushRequest,
 *   'rtmpUrl' | 'rtmpTransponderFullUrl' | 'platform' | 'streamKey' | 'backup' | 'backupUrl' | 'backupMode'>} Target
 */

const secretField = {
  type: 'password',
  autocomplete: 'off',
  spellcheck: 'false',
  autocapitalize: 'none',
};

/** One destination in the form: a URL, or a platform and its stream key, and a backup. */
export class DestinationRow {
  // A URL may end with a stream key, and a key is a secret, so both are hidden like a password.
  #address = create('input', { ...secretField, required: '' });
  #name = document.createTextNode('');
  #show = create('button', { type: 'button' }, 'Show');
  #remove = create('button', { type: 'button', class: 'danger' }, '✕');
  #platform = create('select');
  #full = create('input', { type: 'checkbox' });
  #fullLabel = create('label', { class: 'check' }, this.#full, 'The URL ends with the stream key');
  #platformBackup = create('input', { type: 'checkbox' });
  #platformBackupLabel = create('label', { class: 'check' }, this.#platformBackup, 'Push to its backup server too');
  #backupUrl = create('input', { ...secretField, placeholder: 'rtmp://backup/application' });
  #backupMode = create(
    'select',
    {},
    create('option', { value: 'hot' }, 'at the same time'),
    create('option', { value: 'cold' }, 'only while the first is lost'),
  );
  #backup = create(
    'details',
    {},
    create('summary', {}, 'Backup server'),
    create(
      'div',
      { class: 'fields' },
      create('label', { class: 'grow' }, 'Backup URL (optional)', this.#backupUrl),
      create('label', {}, 'Push there', this.#backupMode),
    ),
  );
  #error = create('p', { class: 'error', role: 'alert' });
  #verdicts = create('ul', { class: 'verdicts', 'aria-label': 'What the check found' });
  #number = 1;
  /** What was remembered, until it is edited. @type {Destination | undefined} */
  #restored;
  /** @type {readonly Platform[]} */
  #platforms = [];

  element = create(
    'li',
    { class: 'destination' },
    create('label', { class: 'place' }, 'Send to', this.#platform),
    create('label', { class: 'address' }, this.#name, this.#address),
    this.#show,
    this.#remove,
    this.#fullLabel,
    this.#platformBackupLabel,
    this.#backup,
    this.#error,
    this.#verdicts,
  );

  /**
   * @param {Destination} destination without secrets
   * @param {() => void} onRemove
   */
  constructor({ url, full, platform = '', complete }, onRemove) {
    // A URL that the page fills in has no secret.
    let filledIn = Boolean(url);
    this.#address.value = url;
    this.#address.type = filledIn ? 'text' : 'password';
    this.#full.checked = full;
    if (platform) this.#platform.append(create('option', { value: platform }, platform));
    this.#platform.value = platform;
    this.showPlatforms([]);
    if (!complete) {
      this.#restored = { url, full, complete, ...(platform && { platform }) };
      this.#address.setCustomValidity('Complete this destination: keys and passwords are not stored.');
      this.error = platform
        ? 'Enter the stream key before you start the push. It was not stored.'
        : 'Complete this URL before you start the push. Its key or password was not stored.';
    }
    const edited = () => {
      this.#restored = undefined;
      this.#address.setCustomValidity('');
      this.error = '';
    };
    this.#address.addEventListener('input', () => {
      if (filledIn) this.#reveal(false);
      filledIn = false;
      edited();
    });
    this.#platform.addEventListener('change', () => {
      // A key is no URL, and a URL is no key.
      this.#address.value = '';
      filledIn = false;
      this.#reveal(false);
      edited();
      this.#describe();
    });
    this.#show.addEventListener('click', () => {
      filledIn = false;
      this.#reveal(this.#address.type === 'password');
    });
    this.#remove.addEventListener('click', onRemove);
  }

  /** @param {string} text */
  set error(text) {
    this.#error.textContent = text;
  }

  focus() {
    this.#address.focus();
  }

  /**
   * @param {number} number from 1
   * @param {boolean} only it cannot be removed
   */
  place(number, only) {
    this.#number = number;
    this.#remove.disabled = only;
    this.#describe();
  }

  /** @param {readonly Platform[]} platforms that have a server that is the same for everybody */
  showPlatforms(platforms) {
    const chosen = this.#platform.value;
    this.#platforms = platforms;
    const options = platforms.map(({ id, name }) => create('option', { value: id }, visible(name)));
    if (chosen && !platforms.some(({ id }) => id === chosen)) options.push(create('option', { value: chosen }, chosen));
    this.#platform.replaceChildren(create('option', { value: '' }, 'RTMP server'), ...options);
    this.#platform.value = chosen;
    this.#describe();
  }

  /** What may be remembered. @returns {Destination} */
  get withoutSecrets() {
    const platform = this.#platform.value;
    if (this.#restored) return this.#restored;
    if (platform) return { url: '', full: false, platform, complete: false };
    return withoutSecrets(this.#address.value, this.#full.checked);
  }

  /** @returns {Target} */
  get target() {
    const address = this.#address.value.trim();
    const platform = this.#platform.value;
    if (platform)
      return { platform, streamKey: address, ...(this.#canBackUp && this.#platformBackup.checked && { backup: true }) };
    const backupUrl = this.#backupUrl.value.trim();
    const backupMode = this.#backupMode.value === 'cold' ? 'cold' : 'hot';
    return {
      rtmpUrl: address,
      ...(this.#full.checked && { rtmpTransponderFullUrl: true }),
      ...(backupUrl && { backupUrl, backupMode }),
    };
  }

  /** @param {readonly Verdict[]} verdicts */
  showVerdicts(verdicts) {
    this.#verdicts.replaceChildren(...verdicts.map(verdictItem));
  }

  get #canBackUp() {
    return Boolean(this.#platforms.find(({ id }) => id === this.#platform.value)?.backup);
  }

  /** @param {boolean} shown */
  #reveal(shown) {
    this.#address.type = shown ? 'text' : 'password';
    this.#describe();
  }

  /** The texts that depend on the number, the platform and whether the address is shown. */
  #describe() {
    const isUrl = this.#platform.value === '';
    this.#name.data = isUrl ? `Destination ${this.#number} (rtmpUrl)` : `Stream key of destination ${this.#number}`;
    this.#address.placeholder = isUrl ? 'rtmp://host/application' : 'the key that the platform shows';
    this.#platform.setAttribute('aria-label', `Send to, destination ${this.#number}`);
    this.#show.textContent = this.#address.type === 'password' ? 'Show' : 'Hide';
    this.#show.setAttribute('aria-label', `${this.#show.textContent} destination ${this.#number}`);
    this.#remove.setAttribute('aria-label', `Remove destination ${this.#number}`);
    this.#fullLabel.hidden = !isUrl;
    this.#backup.hidden = !isUrl;
    this.#platformBackupLabel.hidden = !this.#canBackUp;
  }
}
