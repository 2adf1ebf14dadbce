import { signal } from '@preact/signals';
import { html } from 'htm/preact';
import { counted } from '../text.js';
import { Notice } from './live-page.js';
import { EVENT_LEVELS, Timeline } from './timeline.js';

const wanted = { text: signal(''), level: signal('') };

/** The timeline of the gateway. @param {import('./main.js').PageProps} props */
export function EventsPage({ feed }) {
  const text = wanted.text.value.trim().toLowerCase();
  const events = feed.timeline.value.filter(
    (event) =>
      (wanted.level.value === '' || event.level === wanted.level.value) &&
      [event.text, event.stream, event.room, event.type].some((each) => each?.toLowerCase().includes(text)),
  );
  return html`<${Notice} feed=${feed} />
    <form class="fields filters" aria-label="Filter" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label class="grow"
        >Contains
        <input
          type="search"
          value=${wanted.text.value}
          onInput=${(/** @type {any} */ { target }) => (wanted.text.value = target.value)}
          autocomplete="off"
      /></label>
      <label
        >Level
        <select
          value=${wanted.level.value}
          onChange=${(/** @type {any} */ { target }) => (wanted.level.value = target.value)}
        >
          <option value="">all</option>
          ${Object.entries(EVENT_LEVELS).map(([level, [, word]]) => html`<option value=${level}>${word}</option>`)}
        </select></label
      >
      <p class="state" role="status">${counted(events.length, 'event')}</p>
    </form>
    ${events.length > 0 && html`<section class="card" aria-label="Events"><${Timeline} events=${events} hasStreams /></section>`}`;
}
