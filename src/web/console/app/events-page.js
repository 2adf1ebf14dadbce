import { signal } from '@preact/signals';
import { html } from 'htm/preact';
import { counted } from '../text.js';
import { Choice, Filters, Search } from './filters.js';
import { Notice } from './live-page.js';
import { EVENT_LEVELS, Timeline } from './timeline.js';

const wanted = { text: signal(''), level: signal('') };
const setText = (/** @type {string} */ text) => (wanted.text.value = text);

/** @type {Record<string, readonly [string]>} */
const LEVELS = {
  '': ['all'],
  ...Object.fromEntries(Object.entries(EVENT_LEVELS).map(([level, [, word]]) => [level, [word]])),
};

/** The timeline of the gateway. @param {import('./main.js').PageProps} props */
export function EventsPage({ feed }) {
  const text = wanted.text.value.trim().toLowerCase();
  const events = feed.timeline.value.filter(
    (event) =>
      (wanted.level.value === '' || event.level === wanted.level.value) &&
      [event.text, event.stream, event.room, event.type].some((each) => each?.toLowerCase().includes(text)),
  );
  return html`<${Notice} feed=${feed} />
    <${Filters}>
      <${Search} label="Contains" text=${wanted.text.value} onText=${setText} />
      <${Choice} label="Level" choices=${LEVELS} chosen=${wanted.level} />
      <p class="state" role="status">${counted(events.length, 'event')}</p>
    <//>
    ${events.length > 0 && html`<section class="card" aria-label="Events"><${Timeline} events=${events} hasStreams /></section>`}`;
}
