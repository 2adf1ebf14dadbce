import { computed, signal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { html } from 'htm/preact';
import { urlOf } from '../base.js';
import { counted } from '../text.js';
import { Choice, Filters, Search } from './filters.js';
import { lostLately } from './format.js';
import { StreamCard } from './stream-card.js';
import { VisibleGrid } from './visible-grid.js';

/** @typedef {import('./live-feed.js').Followed} Followed */

/** What the user has chosen stays while other pages are shown. */
const wanted = { text: signal(''), state: signal('all'), order: signal('name') };
const setText = (/** @type {string} */ text) => (wanted.text.value = text);

/** @type {Record<string, readonly [label: string, fits: (fields: Record<string, any>) => boolean]>} */
const STATES = {
  all: ['all', () => true],
  live: ['live', ({ status }) => status === 'live'],
  held: ['publisher away', ({ status }) => status === 'held'],
  standby: ['on standby', ({ standby }) => standby],
  recording: ['recorded', ({ recording }) => recording],
  problem: ['with a video problem', ({ videoProblem }) => Boolean(videoProblem)],
};

const byName = (/** @type {Followed} */ a, /** @type {Followed} */ b) =>
  a.entry.value.key.localeCompare(b.entry.value.key, undefined, { numeric: true });
/** The greatest first. @param {(stream: Followed) => number} valueOf */
const by = (valueOf) => (/** @type {Followed} */ a, /** @type {Followed} */ b) =>
  valueOf(b) - valueOf(a) || byName(a, b);

/** @type {Record<string, readonly [label: string, compare: (a: Followed, b: Followed) => number]>} */
const ORDERS = {
  name: ['name', byName],
  newest: ['newest first', by(({ entry }) => Date.parse(entry.value.fields['startedAt']))],
  bitrate: ['bitrate', by(({ entry }) => entry.value.numbers['bitrate'] ?? 0)],
  loss: ['packets lost', by(({ entry, samples }) => (entry.value, lostLately(samples)))],
  viewers: ['viewers', by(({ entry }) => entry.value.fields['viewers'])],
};

/** All streams. @param {import('./main.js').PageProps} props */
export function LivePage({ access, feed }) {
  const lists = useMemo(() => {
    const streams = computed(() =>
      [...feed.items.value.values()].filter(({ entry }) => entry.peek().kind === 'stream'),
    );
    const pushes = computed(() =>
      Map.groupBy(
        [...feed.items.value.values()].filter(({ entry }) => entry.peek().kind === 'push'),
        ({ entry }) => entry.peek().fields['sourceStreamName'],
      ),
    );
    const shown = computed(() => {
      const text = wanted.text.value.trim().toLowerCase();
      const fits = STATES[wanted.state.value]?.[1] ?? (() => true);
      return streams.value
        .filter(({ entry }) => entry.peek().key.toLowerCase().includes(text))
        .filter(({ entry }) => wanted.state.value === 'all' || fits(entry.value.fields))
        .sort(ORDERS[wanted.order.value]?.[1] ?? byName);
    });
    return { streams, pushes, shown };
  }, [feed]);
  const { value: state } = feed.state;
  const count = lists.streams.value.length;
  const shown = lists.shown.value;
  if (state === 'connecting') return html`<p class="hint">Connecting…</p>`;
  if (count === 0) return html`<${Notice} feed=${feed} />${state === 'open' && html`<${FirstRun} access=${access} />`}`;
  return html`<${Notice} feed=${feed} />
    <${Filters}>
      <${Search} label="Name contains" text=${wanted.text.value} onText=${setText} />
      <${Choice} label="Show" choices=${STATES} chosen=${wanted.state} />
      <${Choice} label="Order" choices=${ORDERS} chosen=${wanted.order} />
      <p class="state" role="status">
        ${shown.length === count ? counted(count, 'stream') : `${shown.length} of ${counted(count, 'stream')}`}
      </p>
    <//>
    <${VisibleGrid}
      label="Streams"
      items=${shown}
      keyOf=${(/** @type {Followed} */ { id }) => id}
      show=${(/** @type {Followed} */ stream) =>
        html`<${StreamCard}
          stream=${stream}
          pushes=${lists.pushes.value.get(stream.entry.peek().key) ?? []}
          access=${access}
        />`}
    />`;
}

/** Says that what is shown is old. @param {{ feed: import('./live-feed.js').LiveFeed }} props */
export function Notice({ feed }) {
  if (feed.state.value !== 'lost') return null;
  return html`<p class="banner" role="alert">
    The connection to the gateway is lost. This is how it was at ${feed.heardAt.value.toLocaleTimeString()}. The page
    goes on by itself.
  </p>`;
}

/** From nothing to a pushed stream. @param {{ access: import('../access.js').Access }} props */
function FirstRun({ access }) {
  const actions = access.principal?.actions;
  const may = (/** @type {string} */ action) => actions?.includes(action) ?? true;
  return html`<section class="card first-run" aria-labelledby="first-run-title">
    <h2 id="first-run-title">No stream is live</h2>
    <p class="hint">This card vanishes with the first stream.</p>
    <ol>
      ${
        may('push') &&
        html`<li><a href="#/destinations">Save a destination</a>: YouTube, Facebook, Twitch or any RTMP server.</li>`
      }
      ${
        may('publish') &&
        html`<li>
          <a href=${urlOf('/console/publish.html')}>Publish your camera</a>, or send a stream from${' '}
          <a href=${urlOf('/console/whip.html')}>OBS or another encoder over WHIP</a>.
        </li>`
      }
      ${may('push') && html`<li>Come back here, open the stream and press <strong>Go live</strong>.</li>`}
    </ol>
  </section>`;
}
