import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { html } from 'htm/preact';

/** Of a card, in `rem`. The style sheet has the same ones. */
const [ROW_REM, GAP_REM, MIN_WIDTH_REM] = [9.5, 0.75, 22];
/** Rows before and after those on the screen, so that the next card can get the focus. */
const SPARE_ROWS = 2;

/**
 * Cards in a grid, of which only those near the screen exist.
 *
 * @template Item
 * @param {{ label: string, items: readonly Item[], keyOf: (item: Item) => string, show: (item: Item) => any }} props
 */
export function VisibleGrid({ label, items, keyOf, show }) {
  const list = useRef(/** @type {HTMLUListElement | null} */ (null));
  const [view, setView] = useState({ columns: 1, first: 0, rows: 8, rem: 15 });
  useLayoutEffect(() => {
    const measure = () => {
      if (!list.current) return;
      const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
      const { top, width } = list.current.getBoundingClientRect();
      const columns = Math.max(1, Math.floor((width / rem + GAP_REM) / (MIN_WIDTH_REM + GAP_REM)));
      const row = (ROW_REM + GAP_REM) * rem;
      const first = Math.max(0, Math.floor(-top / row) - SPARE_ROWS);
      const rows = Math.ceil(innerHeight / row) + 2 * SPARE_ROWS;
      setView((old) =>
        old.columns === columns && old.first === first && old.rows === rows && old.rem === rem
          ? old
          : { columns, first, rows, rem },
      );
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(document.body);
    addEventListener('scroll', measure, { passive: true });
    return () => {
      observer.disconnect();
      removeEventListener('scroll', measure);
    };
  }, []);
  const { columns, rem } = view;
  const row = (ROW_REM + GAP_REM) * rem;
  const total = Math.ceil(items.length / columns);
  // A list that has become shorter may end above.
  const first = Math.min(view.first, Math.max(0, total - view.rows));
  const shown = items.slice(first * columns, (first + view.rows) * columns);
  return html`<ul
    ref=${list}
    class="stream-grid"
    aria-label=${label}
    style=${{ height: `${total * row}px`, '--columns': columns }}
  >
    ${shown.map((item, index) => {
      const place = first * columns + index;
      const style = { top: `${Math.floor(place / columns) * row}px`, '--column': place % columns };
      return html`<li key=${keyOf(item)} style=${style} aria-setsize=${items.length} aria-posinset=${place + 1}>
        ${show(item)}
      </li>`;
    })}
  </ul>`;
}
