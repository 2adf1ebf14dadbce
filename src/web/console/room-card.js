import { busy, create } from './dom.js';
import { Rows } from './rows.js';
import { clockTime, counted, visible } from './text.js';

/**
 * @typedef {object} RoomSummary an entry of `/api/v1/rooms`
 * @property {string} scope
 * @property {number} members
 * @property {number} objects
 *
 * @typedef {object} Member
 * @property {string} id
 * @property {string} [login]
 * @property {'websocket' | 'rtmp' | 'datachannel' | 'wcs'} door
 * @property {string} [node]
 * @property {readonly string[]} streams
 * @property {readonly string[]} objects
 * @property {string} joinedAt
 *
 * @typedef {object} SharedObject
 * @property {string} name
 * @property {boolean} persistent
 * @property {number} acquired
 * @property {number} version
 * @property {number} members
 * @property {Readonly<Record<string, unknown>>} properties
 *
 * @typedef {object} Room an answer of `/api/v1/rooms/{room}`, as far as the page uses it
 * @property {Readonly<Record<string, unknown>>} attributes
 * @property {number} maxMembers
 * @property {readonly Member[]} members
 * @property {readonly SharedObject[]} objects
 */

/**
 * Changes the room.
 *
 * @callback Act
 * @param {'POST' | 'DELETE'} method
 * @param {string} path below the room
 * @param {object} [body]
 * @returns {Promise<unknown>}
 */

const DOORS = { websocket: 'WebSocket', rtmp: 'RTMP', datachannel: 'Data channel', wcs: 'WCS' };
/** Properties that are shown of an object, and characters of each value. */
const MAX_PROPERTIES = 100;
const MAX_CHARACTERS = 300;

/**
 * Values of clients as the page shows them.
 *
 * @param {unknown} value
 */
function valueText(value) {
  const json = visible(JSON.stringify(value));
  return json.length > MAX_CHARACTERS ? `${json.slice(0, MAX_CHARACTERS)}…` : json;
}

/** @param {Readonly<Record<string, unknown>>} values */
function valueList(values) {
  const entries = Object.entries(values);
  const rows = entries
    .slice(0, MAX_PROPERTIES)
    .flatMap(([key, value]) => [
      create('dt', {}, visible(key)),
      create('dd', {}, create('code', {}, valueText(value))),
    ]);
  const more = entries.length - MAX_PROPERTIES;
  return [
    ...(rows.length > 0 ? [create('dl', { class: 'properties' }, ...rows)] : []),
    ...(more > 0 ? [create('p', { class: 'hint' }, `and ${more} more`)] : []),
  ];
}

/** A room: a line of the list, and if it is open its members, its objects and what can be done with them. */
export class RoomCard {
  #act;
  #count = create('span', { class: 'count' });
  #facts = create('p', { class: 'hint' });
  #attributes = create('div');
  #error = create('p', { class: 'error', role: 'alert' });
  #members;
  #objects;
  #noMembers = create('p', { class: 'hint' }, 'Nobody is here.');
  #noObjects = create('p', { class: 'hint' }, 'None.');

  /**
   * @param {string} scope
   * @param {{ act: Act, opened: () => void }} handlers
   */
  constructor(scope, { act, opened }) {
    this.#act = act;
    const path = visible(scope);
    const members = create('ul', { class: 'pushes' });
    const objects = create('ul', { class: 'pushes' });
    this.#members = new Rows(
      members,
      (/** @type {Member} */ { id }) => id,
      (member) => this.#memberRow(member),
    );
    this.#objects = new Rows(
      objects,
      (/** @type {SharedObject} */ { name }) => name,
      (object) => this.#objectRow(object),
    );
    this.element = create(
      'details',
      { class: 'card room' },
      create('summary', {}, create('h2', {}, path), this.#count),
      this.#facts,
      this.#attributes,
      create(
        'div',
        { class: 'room-parts' },
        create('section', {}, create('h3', {}, 'Members'), this.#noMembers, members),
        create('section', {}, create('h3', {}, 'Shared objects'), this.#noObjects, objects),
      ),
      this.#messageForm(path),
      this.#error,
    );
    this.element.addEventListener('toggle', opened);
  }

  get open() {
    return this.element.open;
  }

  /** @param {RoomSummary} summary */
  update({ members, objects }) {
    const text = `${counted(members, 'member')}, ${counted(objects, 'object')}`;
    if (this.#count.textContent !== text) this.#count.textContent = text;
  }

  /** @param {Room} room */
  show({ attributes, maxMembers, members, objects }) {
    this.#facts.textContent = `At most ${counted(maxMembers, 'member')}.`;
    const values = valueList(attributes);
    this.#attributes.replaceChildren(...(values.length > 0 ? [create('h3', {}, 'Attributes'), ...values] : []));
    this.#noMembers.hidden = members.length > 0;
    this.#noObjects.hidden = objects.length > 0;
    this.#members.show(members);
    this.#objects.show(objects);
  }

  /** @param {Member} member */
  #memberRow({ id, login, door, joinedAt }) {
    const name = login === undefined ? 'without a login' : visible(login);
    const facts = create('p', { class: 'hint' });
    const remove = this.#button('Remove', `Remove the member ${login === undefined ? id : name}`, async () => {
      if (confirm(`Remove ${login === undefined ? 'this member' : name} from the room?`))
        await this.#act('DELETE', `/members/${encodeURIComponent(id)}`);
    });
    const element = create(
      'li',
      { class: 'push' },
      create(
        'header',
        {},
        create('span', { class: 'pill', 'data-state': 'good' }, DOORS[door]),
        create(login === undefined ? 'i' : 'b', { class: 'grow' }, name),
        remove,
      ),
      facts,
    );
    return {
      element,
      /** @param {Member} member */
      update({ node, streams, objects }) {
        const parts = [
          `since ${clockTime(joinedAt)}`,
          ...(node === undefined ? [] : [`node ${node}`]),
          ...(streams.length > 0 ? [`publishes ${streams.join(', ')}`] : []),
          ...(objects.length > 0 ? [`connected to ${objects.join(', ')}`] : []),
        ];
        facts.textContent = visible(parts.join(' · '));
      },
    };
  }

  /** @param {SharedObject} object */
  #objectRow({ name }) {
    const text = visible(name);
    const facts = create('p', { class: 'hint' });
    const values = create('div');
    const remove = this.#button('Delete', `Delete the object ${text}`, async () => {
      if (confirm(`Delete the object ${text} with all its properties?`))
        await this.#act('DELETE', `/objects/${encodeURIComponent(name)}`);
    });
    let shown = '';
    return {
      element: create('li', { class: 'push' }, create('header', {}, create('code', {}, text), remove), facts, values),
      /** @param {SharedObject} object */
      update({ persistent, acquired, version, members, properties }) {
        facts.textContent = [
          counted(members, 'member'),
          ...(persistent ? ['persistent'] : []),
          ...(acquired > 0 ? [`acquired ${acquired === 1 ? 'once' : `${acquired} times`}`] : []),
          `version ${version}`,
        ].join(' · ');
        const now = JSON.stringify(properties);
        if (now === shown) return;
        shown = now;
        values.replaceChildren(...valueList(properties));
      },
    };
  }

  /** @param {string} path */
  #messageForm(path) {
    const field = create('input', { required: '', autocomplete: 'off' });
    const send = create('button', {}, 'Send');
    const form = create(
      'form',
      { class: 'fields', 'aria-label': `Text to ${path}` },
      create('label', { class: 'grow' }, 'Text to all members', field),
      send,
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#run(send, async () => {
        await this.#act('POST', '/messages', { text: field.value, from: 'Operator' });
        field.value = '';
      });
    });
    return form;
  }

  /**
   * @param {string} text
   * @param {string} label
   * @param {() => Promise<unknown>} work
   */
  #button(text, label, work) {
    const button = create('button', { type: 'button', class: 'danger', 'aria-label': label }, text);
    button.addEventListener('click', () => void this.#run(button, work));
    return button;
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {() => Promise<unknown>} work
   */
  async #run(button, work) {
    this.#error.textContent = '';
    try {
      await busy(button, work);
    } catch (error) {
      this.#error.textContent = /** @type {Error} */ (error).message;
    }
  }
}
