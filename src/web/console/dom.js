/**
 * The element with this id, checked against the class that the caller expects.
 *
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} "${id}"`);
  return found;
}

/**
 * Creates an element. Strings among the children are inserted as text, never as markup.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<Record<string, string>>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function create(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * Sets the text of a status line and its tone. A text that stays the same is not set again, because screen readers
 * would repeat it.
 *
 * @param {HTMLElement} line
 * @param {string} text
 * @param {'good' | 'warn' | 'bad' | ''} [tone]
 */
export function say(line, text, tone = '') {
  if (line.textContent !== text) line.textContent = text;
  line.dataset['tone'] = tone;
}

/**
 * Disables a button while work that it has started is going on. A disabled button loses the focus; it gets it back
 * afterwards.
 *
 * @param {HTMLButtonElement} button
 * @param {() => Promise<unknown>} work
 */
export async function busy(button, work) {
  const focused = document.activeElement === button;
  button.disabled = true;
  try {
    await work();
  } finally {
    button.disabled = false;
    if (focused && document.activeElement === document.body) button.focus();
  }
}
