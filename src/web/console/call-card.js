import { busy, create, say } from './dom.js';
import { clockTime, visible } from './text.js';

/**
 * @typedef {object} CallView an entry of `/api/v1/calls`, as far as the page uses it
 * @property {string} callId
 * @property {string} status
 * @property {number} sipStatus
 * @property {boolean} incoming
 * @property {string} caller
 * @property {string} callee
 * @property {string | null} visibleName
 * @property {string} streamName
 * @property {string | null} rtmpStreamStatus
 * @property {string | null} audioCodec
 * @property {string | null} videoCodec
 * @property {boolean} secure
 * @property {string | null} reason
 * @property {string | null} reasonCode
 * @property {string} createdAt
 * @property {string | null} answeredAt
 * @property {string | null} endedAt
 */

/**
 * @callback Act
 * @param {'terminate' | 'send_dtmf' | 'inject_sound'} method
 * @param {object} body
 * @returns {Promise<unknown>}
 */

/** Words and tones of the states in which a call runs. @type {Record<string, [text: string, tone: string]>} */
const STATES = {
  PENDING: ['Preparing', 'waiting'],
  TRYING: ['Dialling', 'waiting'],
  SESSION_PROGRESS: ['Dialling', 'waiting'],
  RING: ['Ringing', 'waiting'],
  RING_MEDIA: ['Ringing', 'waiting'],
  ESTABLISHED: ['Connected', 'good'],
  HOLD: ['On hold', 'waiting'],
};

/** @param {CallView} call */
function factsOf({ streamName, audioCodec, videoCodec, secure, answeredAt, rtmpStreamStatus, caller, incoming }) {
  return visible(
    [
      `stream ${streamName}`,
      ...(caller ? [`${incoming ? 'called by' : 'from'} ${caller}`] : []),
      ...[audioCodec, videoCodec].filter((codec) => codec !== null),
      ...(secure ? ['encrypted'] : []),
      ...(answeredAt ? [`since ${clockTime(answeredAt)}`] : []),
      ...(rtmpStreamStatus ? [`push: ${rtmpStreamStatus.toLowerCase()}`] : []),
    ].join(' · '),
  );
}

/** A call that runs. */
export class CallCard {
  #call;
  #act;
  #state = create('span', { class: 'pill' });
  #facts = create('p', { class: 'hint' });
  #error = create('p', { class: 'error', role: 'alert' });
  #talking;

  /**
   * @param {CallView} call
   * @param {Act} act
   */
  constructor(call, act) {
    const { callId, callee } = call;
    this.#call = callId;
    this.#act = act;
    const name = visible(callee);
    const hangUp = create('button', { type: 'button', class: 'danger', 'aria-label': `Hang up ${name}` }, 'Hang up');
    hangUp.addEventListener('click', () => void this.#run(hangUp, 'terminate', {}));
    this.#talking = create(
      'div',
      { class: 'row' },
      this.#form(
        'Keys',
        `Keys to press for ${name}`,
        { maxlength: '32', pattern: '[0-9A-Da-d*#]+', size: '8' },
        'Send',
        (dtmf) => ['send_dtmf', { dtmf: dtmf.toUpperCase() }],
      ),
      this.#form('Sound file', `Sound file for ${name}`, { maxlength: '255' }, 'Play', (fileName) => [
        'inject_sound',
        { fileName },
      ]),
    );
    this.element = create(
      'li',
      { class: 'push' },
      create('header', {}, this.#state, create('b', { class: 'grow' }, name), hangUp),
      this.#facts,
      this.#talking,
      this.#error,
    );
  }

  /** @param {CallView} call */
  update(call) {
    const [text, tone] = STATES[call.status] ?? [call.status, 'waiting'];
    say(this.#state, text);
    this.#state.dataset['state'] = tone;
    say(this.#facts, factsOf(call));
    this.#talking.hidden = call.status !== 'ESTABLISHED' && call.status !== 'HOLD';
  }

  /**
   * @param {string} label
   * @param {string} title
   * @param {Record<string, string>} attributes
   * @param {string} verb
   * @param {(value: string) => [method: 'send_dtmf' | 'inject_sound', body: object]} requestOf
   */
  #form(label, title, attributes, verb, requestOf) {
    const field = create('input', { required: '', autocomplete: 'off', spellcheck: 'false', ...attributes });
    const send = create('button', {}, verb);
    const form = create('form', { class: 'fields', 'aria-label': title }, create('label', {}, label, field), send);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#run(send, ...requestOf(field.value));
    });
    return form;
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {'terminate' | 'send_dtmf' | 'inject_sound'} method
   * @param {object} body
   */
  async #run(button, method, body) {
    say(this.#error, '');
    try {
      await busy(button, () => this.#act(method, { callId: this.#call, ...body }));
    } catch (error) {
      say(this.#error, /** @type {Error} */ (error).message);
    }
  }
}

/**
 * A call that is over.
 *
 * @param {CallView} call
 */
export function endedCall({ callee, streamName, reason, reasonCode, endedAt, status }) {
  const time = create('time', {}, endedAt ? clockTime(endedAt) : '');
  const wanted = status === 'FINISH' ? { 'data-wanted': '' } : {};
  return {
    element: create(
      'li',
      {},
      create('span', {}, create('b', {}, visible(callee)), ` as ${visible(streamName)}`),
      time,
      create('span', { class: 'reason', ...wanted }, visible(reason ?? reasonCode ?? 'The call has ended.')),
    ),
    update() {},
  };
}
