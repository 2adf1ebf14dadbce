import { Emitter } from './emitter.js';

/**
 * @typedef {object} Change
 * @property {string} key
 * @property {unknown} value undefined: the property is gone
 * @property {boolean} own made by this client
 *
 * @typedef {object} SharedObjectEvents
 * @property {[]} state all properties are known, at first and after each interruption
 * @property {[change: Change]} change
 * @property {[method: string, args: readonly unknown[]]} call a member calls a method of all that are connected
 *
 * @typedef {{ type: string, key?: string, value?: unknown, method?: string, args?: readonly unknown[], by: string }} GatewayChange
 */

/**
 * Properties that the members of a room share. All of them see all changes in the same order, their own included.
 *
 * @extends {Emitter<SharedObjectEvents>}
 */
export class SharedObject extends Emitter {
  /** @type {Map<string, unknown>} */
  #properties = new Map();
  #request;

  /** Made by `Room.object()`.
   * @param {string} name
   * @param {(action: string, fields: object) => Promise<unknown>} request
   * @param {boolean} persistent
   */
  constructor(name, request, persistent) {
    super();
    this.name = name;
    this.persistent = persistent;
    this.#request = request;
  }

  /** @type {ReadonlyMap<string, unknown>} */
  get properties() {
    return this.#properties;
  }

  /** @param {string} key */
  get(key) {
    return this.#properties.get(key);
  }

  /**
   * @param {string} key
   * @param {unknown} value anything that JSON can express
   */
  async set(key, value) {
    await this.#request('set', { key, value });
  }

  /** @param {string} key */
  async delete(key) {
    await this.#request('delete', { key });
  }

  /** Removes all properties. */
  async clear() {
    await this.#request('clear', {});
  }

  /**
   * Calls a method of all members that are connected: they get the event `call`.
   *
   * @param {string} method
   * @param {...unknown} args
   */
  async call(method, ...args) {
    await this.#request('call', { method, args });
  }

  /** Disconnects from the object. */
  async close() {
    await this.#request('disconnect', {});
  }

  /**
   * For the room.
   *
   * @internal
   * @param {Iterable<[string, unknown]>} properties
   */
  reset(properties) {
    this.#properties = new Map(properties);
    this.emit('state');
  }

  /**
   * For the room.
   *
   * @internal
   * @param {readonly GatewayChange[]} changes
   * @param {string} memberId
   */
  apply(changes, memberId) {
    for (const { type, key = '', value, method = '', args = [], by } of changes) {
      const own = by === memberId;
      if (type === 'set') {
        this.#properties.set(key, value);
        this.emit('change', { key, value, own });
      } else if (type === 'delete') {
        this.#properties.delete(key);
        this.emit('change', { key, value: undefined, own });
      } else if (type === 'clear') {
        const keys = [...this.#properties.keys()];
        this.#properties.clear();
        for (const gone of keys) this.emit('change', { key: gone, value: undefined, own });
      } else if (type === 'send') this.emit('call', method, args);
    }
  }
}
