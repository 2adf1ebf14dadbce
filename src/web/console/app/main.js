import { effect, signal } from '@preact/signals';
import { html, render } from 'htm/preact';
import { Access } from '../access.js';
import { element } from '../dom.js';
import { DestinationsPage } from './destinations-page.js';
import { EventsPage } from './events-page.js';
import { decoded } from './format.js';
import { LiveFeed } from './live-feed.js';
import { LivePage } from './live-page.js';
import { RecordingsPage } from './recordings.js';
import { SettingsPage } from './settings-page.js';
import { StreamPage } from './stream-page.js';

/** The console as one application: all of its pages share one connection. The address after `#` names the page. */

/**
 * @typedef {object} Route
 * @property {string} title
 * @property {(props: PageProps) => any} page
 * @property {string} [under] the page that is marked in the navigation; its own by default
 *
 * @typedef {object} PageProps
 * @property {Access} access
 * @property {LiveFeed} feed
 * @property {string} rest what follows in the address
 */

/** By the first part of the address. @type {Record<string, Route>} */
const ROUTES = {
  '': { title: 'Live', page: LivePage },
  destinations: { title: 'Destinations', page: DestinationsPage },
  streams: { title: 'Stream', page: StreamPage, under: '' },
  recordings: { title: 'Recordings', page: RecordingsPage },
  settings: { title: 'Settings', page: SettingsPage },
  events: { title: 'Events', page: EventsPage },
};

const access = await Access.open(() => void feed.follow());
const feed = new LiveFeed(access);
const address = signal(location.hash);
addEventListener('hashchange', () => {
  address.value = location.hash;
  scrollTo(0, 0);
  // Where a click on a link would begin a new page.
  element('main', HTMLElement).focus({ preventScroll: true });
});

const title = element('title', HTMLElement);
const links = [...element('navigation', HTMLElement).querySelectorAll('a')];

effect(() => {
  const [, name = '', rest = ''] = /^#\/([^/]*)\/?(.*)$/.exec(address.value) ?? [];
  const route = /** @type {Route} */ (ROUTES[name] ?? ROUTES['']);
  const shown = decoded(rest);
  title.textContent = shown || route.title;
  document.title = `${title.textContent} – WebRTC Transponder`;
  for (const link of links)
    if (new URL(link.href).hash === `#/${route.under ?? (ROUTES[name] ? name : '')}`)
      link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  const { page: Page } = route;
  render(
    html`<${Page} key=${address.value} access=${access} feed=${feed} rest=${shown} />`,
    element('app', HTMLElement),
  );
});

await feed.follow();
