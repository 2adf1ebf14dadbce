import { useEffect, useRef } from 'preact/hooks';
import { html } from 'htm/preact';

/**
 * A form in a modal window, which is there until it is closed.
 *
 * @param {{ title: string, action: string, busy: boolean, error: string, onSubmit: (form: FormData) => void,
 *   onClose: () => void, children?: any }} props
 */
export function FormDialog({ title, action, busy, error, onSubmit, onClose, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => dialog.current?.showModal(), []);
  return html`<dialog ref=${dialog} class="card" aria-labelledby="dialog-title" onClose=${onClose}>
    <form
      onSubmit=${(/** @type {any} */ event) => {
        event.preventDefault();
        onSubmit(new FormData(event.currentTarget));
      }}
    >
      <h2 id="dialog-title">${title}</h2>
      ${children}
      <p class="error" role="alert">${error}</p>
      <div class="buttons">
        <button class="primary" disabled=${busy}>${action}</button>
        <button type="button" onClick=${() => dialog.current?.close()}>Cancel</button>
      </div>
    </form>
  </dialog>`;
}
