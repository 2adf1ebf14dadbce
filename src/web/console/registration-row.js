import { create, say } from './dom.js';
import { clockTime, visible } from './text.js';

/**
 * @typedef {object} RegistrationView an entry of `/api/v1/sip/registrations`
 * @property {string} account
 * @property {string | null} stream
 * @property {'registering' | 'registered' | 'failed' | 'unregistered'} state
 * @property {string | null} reason
 * @property {string | null} reasonCode
 * @property {string | null} expiresAt
 */

/** @type {Record<RegistrationView['state'], [text: string, tone: string]>} */
const STATES = {
  registering: ['Registering', 'waiting'],
  registered: ['Registered', 'good'],
  failed: ['Failed', 'bad'],
  unregistered: ['Unregistered', 'waiting'],
};

/** An account at a PBX. */
export class RegistrationRow {
  #state = create('span', { class: 'pill' });
  #facts = create('p', { class: 'hint' });
  #error = create('p', { class: 'error' });

  /** @param {RegistrationView} registration */
  constructor({ account }) {
    this.element = create(
      'li',
      { class: 'push' },
      create('header', {}, this.#state, create('b', { class: 'grow' }, visible(account))),
      this.#facts,
      this.#error,
    );
  }

  /** @param {RegistrationView} registration */
  update({ stream, state, reason, expiresAt }) {
    const [text, tone] = STATES[state];
    say(this.#state, text);
    this.#state.dataset['state'] = tone;
    const facts = [...(stream ? [`stream ${stream}`] : []), ...(expiresAt ? [`until ${clockTime(expiresAt)}`] : [])];
    say(this.#facts, visible(facts.join(' · ')));
    say(this.#error, visible(reason ?? ''));
  }
}
