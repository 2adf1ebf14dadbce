/**
 * One row of a list, which shows one item.
 *
 * @template Item
 * @typedef {object} Row
 * @property {HTMLElement} element
 * @property {(item: Item) => void} update
 */

/**
 * A list that changes every second. Rows of items that are still there stay in place, and with them the focus and what
 * the user has typed.
 *
 * @template Item
 */
export class Rows {
  #list;
  #keyOf;
  #make;
  /** @type {Map<string, Row<Item>>} */
  #rows = new Map();

  /**
   * @param {HTMLElement} list
   * @param {(item: Item) => string} keyOf tells items apart
   * @param {(item: Item) => Row<Item>} make
   */
  constructor(list, keyOf, make) {
    this.#list = list;
    this.#keyOf = keyOf;
    this.#make = make;
  }

  /** @param {readonly Item[]} items */
  show(items) {
    const keys = new Set(items.map(this.#keyOf));
    for (const [key, { element }] of this.#rows)
      if (!keys.has(key)) {
        element.remove();
        this.#rows.delete(key);
      }
    items.forEach((item, index) => {
      const key = this.#keyOf(item);
      const row = this.#rows.get(key) ?? this.#make(item);
      this.#rows.set(key, row);
      row.update(item);
      const there = this.#list.children[index] ?? null;
      if (there !== row.element) this.#list.insertBefore(row.element, there);
    });
  }
}
