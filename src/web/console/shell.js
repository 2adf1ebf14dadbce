import { element } from './dom.js';

/** What all pages have around their content. */

/** The skip link does not change the address, which says what the application shows. */
export function connectShell() {
  element('skip', HTMLAnchorElement).addEventListener('click', (event) => {
    event.preventDefault();
    element('main', HTMLElement).focus();
  });
}

/**
 * Hides links to pages that would show nothing but refusals.
 *
 * @param {import('./access.js').Principal} principal
 */
export function showAllowed({ actions, streams }) {
  for (const link of element('navigation', HTMLElement).querySelectorAll('a')) {
    const needs = link.dataset['needs'] ?? '';
    const isAllowed = actions.includes(needs) && !(needs === 'admin' && streams);
    /** @type {HTMLElement} */ (link.parentElement).hidden = !isAllowed;
  }
}
