import { useEffect, useRef, useState } from 'preact/hooks';
import { html } from 'htm/preact';
import { actOn, PushItem } from '../push-list.js';

/**
 * A push with its state, its figures and its buttons.
 *
 * @param {{ access: import('../access.js').Access, push: import('./live-feed.js').Followed,
 *   sound: { file: string, loop: boolean } }} props
 */
export function PushCard({ access, push, sound }) {
  const host = useRef(/** @type {HTMLDivElement | null} */ (null));
  const item = useRef(/** @type {PushItem | undefined} */ (undefined));
  const chosen = useRef(sound);
  chosen.current = sound;
  const [error, setError] = useState('');
  const { key, fields, numbers } = push.entry.value;
  const view = /** @type {import('../../client/push-api.js').Transponder} */ (
    /** @type {unknown} */ ({ ...fields, ...numbers })
  );
  useEffect(() => {
    const made = new PushItem(view, async (action) => {
      setError('');
      try {
        await actOn(access.pushes, key, action, chosen.current);
      } catch (failure) {
        setError(/** @type {Error} */ (failure).message);
      }
    });
    item.current = made;
    host.current?.append(made.element);
    return () => made.element.remove();
  }, [key]);
  useEffect(() => void item.current?.update(view));
  return html`<li>
    <ul class="pushes" ref=${host}></ul>
    <p class="error" role="alert">${error}</p>
  </li>`;
}
