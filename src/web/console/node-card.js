import { busy, create } from './dom.js';

/**
 * @typedef {object} Node an entry of `/api/v1/nodes`, as far as the page uses it
 * @property {string} id
 * @property {string} url
 * @property {string} region
 * @property {string} group
 * @property {string} state
 * @property {string} version
 * @property {number} capacity
 * @property {number} publications
 * @property {number} pushes
 * @property {number} encoders
 * @property {number} cpu
 * @property {boolean} overloaded
 * @property {string} drain
 * @property {number} toMove
 *
 * @typedef {object} Stream an entry of `/api/v1/streams` of a manager
 * @property {string} name
 * @property {string} status
 * @property {number} transponders
 * @property {string} node
 */

/** Above this share of its capacity or its processor a node is nearly full. */
const HIGH = 0.9;

/** One node of the cluster. It is updated in place, so that its button keeps the focus. */
export class NodeCard {
  #condition = create('p', { class: 'pill' });
  #place = create('p', { class: 'state' });
  #publications = new Gauge('Publications');
  #processor = new Gauge('CPU');
  #counts = create('p', { class: 'hint' });
  #streams = create('ul', { class: 'streams' });
  #shown = '';
  #drain = create('button', { type: 'button' }, 'Drain');

  /**
   * @param {string} id of the node
   * @param {() => Promise<void>} drain
   */
  constructor(id, drain) {
    const title = create('h2', { id: `node-${id}` }, id);
    this.#drain.setAttribute('aria-label', `Drain ${id}`);
    this.#drain.addEventListener('click', () => void busy(this.#drain, drain));
    this.element = create(
      'section',
      { class: 'card node', 'aria-labelledby': title.id },
      create('div', { class: 'row' }, title, this.#condition, this.#drain),
      this.#place,
      create('div', { class: 'gauges' }, this.#publications.element, this.#processor.element),
      this.#counts,
      this.#streams,
    );
  }

  /**
   * @param {Node} node
   * @param {readonly Stream[]} streams
   */
  show(node, streams) {
    const { url, region, group, capacity, publications, pushes, encoders, cpu, version } = node;
    const [text, tone] = conditionOf(node);
    setText(this.#condition, text);
    this.#condition.dataset['state'] = tone;
    setText(this.#place, [region, group, url, `version ${version}`].filter(Boolean).join(' · '));
    this.#publications.show(publications / capacity, `${publications} of ${capacity}`);
    this.#processor.show(cpu, `${Math.round(cpu * 100)} %`);
    setText(this.#counts, `${count(pushes, 'push', 'pushes')}, ${count(encoders, 'encoder', 'encoders')}`);
    this.#drain.hidden = node.state !== 'in-service';
    const now = JSON.stringify(streams);
    if (now === this.#shown) return;
    this.#shown = now;
    this.#streams.replaceChildren(...streams.map(streamItem));
  }
}

class Gauge {
  #value = create('span', {});
  #bar = create('meter', { min: '0', max: '1', high: String(HIGH), optimum: '0' });

  /** @param {string} name */
  constructor(name) {
    this.#bar.setAttribute('aria-label', name);
    this.element = create('div', { class: 'gauge' }, create('span', {}, name), this.#value, this.#bar);
  }

  /**
   * @param {number} share
   * @param {string} text
   */
  show(share, text) {
    this.#bar.value = share;
    setText(this.#value, text);
  }
}

/** @param {Stream} stream */
const streamItem = ({ name, status, transponders }) =>
  create(
    'li',
    { class: 'row' },
    create('span', { class: 'name' }, name),
    create('span', { class: 'hint' }, count(transponders, 'push', 'pushes')),
    create('span', { class: 'pill', 'data-state': status === 'live' ? 'good' : 'waiting' }, status),
  );

/**
 * @param {Node} node
 * @returns {[text: string, state: string]}
 */
function conditionOf({ state, overloaded, publications, capacity, drain, toMove }) {
  const left = count(toMove, 'stream', 'streams');
  if (drain === 'moving') return [`Draining: ${left} to move`, 'waiting'];
  if (drain === 'blocked') return [`Draining: no other node has room for ${left}`, 'bad'];
  if (state !== 'in-service') return ['Draining', 'waiting'];
  if (overloaded) return ['Overloaded', 'bad'];
  return publications >= capacity ? ['Full', 'waiting'] : ['In service', 'good'];
}

/**
 * @param {HTMLElement} shown
 * @param {string} text
 */
function setText(shown, text) {
  if (shown.textContent !== text) shown.textContent = text;
}

/**
 * @param {number} number
 * @param {string} one
 * @param {string} many
 */
const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
