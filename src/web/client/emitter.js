/**
 * Typed events for the browser, where Node's EventEmitter is not at hand.
 *
 * @template {{ [Name in keyof Events]: unknown[] }} Events
 */
export class Emitter {
  /** @type {Map<keyof Events, Set<Function>>} */
  #listeners = new Map();

  /**
   * Runs `listener` at every event of this name.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(...detail: Events[Name]) => void} listener
   * @returns {() => void} how to stop it
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /**
   * For the class that extends this one.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} detail
   */
  emit(name, ...detail) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(...detail);
  }
}
