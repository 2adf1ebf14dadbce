import { html } from 'htm/preact';

/** The form above a list. @param {{ children: any }} props */
export function Filters({ children }) {
  return html`<form
    class="fields filters"
    aria-label="Filter"
    onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}
  >
    ${children}
  </form>`;
}

/** @param {{ label: string, text: string, onText: (text: string) => void }} props */
export function Search({ label, text, onText }) {
  return html`<label class="grow"
    >${label}
    <input
      type="search"
      value=${text}
      onInput=${(/** @type {any} */ { target }) => onText(target.value)}
      autocomplete="off"
  /></label>`;
}

/**
 * @param {{
 *   label: string,
 *   choices: Record<string, readonly [string, ...any[]]>,
 *   chosen: import('@preact/signals').Signal<string>,
 * }} props
 */
export function Choice({ label, choices, chosen }) {
  return html`<label
    >${label}
    <select value=${chosen.value} onChange=${(/** @type {any} */ { target }) => (chosen.value = target.value)}>
      ${Object.entries(choices).map(([value, [text]]) => html`<option value=${value}>${text}</option>`)}
    </select></label
  >`;
}
