/**
 * Typed events for the browser, which has no EventEmitter.
 *
 * @template {{ [Name in keyof Events]: unknown[] }} Events
 */
export class Emitter {
  /** @type {Map<keyof Events, Set<Function>>} */
  #listeners = new Map();

  /**
   * Adds a listener for the events with this name.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(...detail: Events[Name]) => void} listener
   * @returns {() => void} removes the listener
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /**
   * For subclasses: whether anybody listens.
   *
   * @internal
   * @param {keyof Events} name
   */
  has(name) {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  /**
   * For subclasses.
   *
   * @internal
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} detail
   */
  emit(name, ...detail) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(...detail);
  }
}
