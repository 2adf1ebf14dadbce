import { RestError, request } from '../client/index.js';
import { Access } from './access.js';
import { element } from './dom.js';
import { PublishPanel } from './publish-panel.js';
import { PushList } from './push-list.js';
import { PushPanel } from './push-panel.js';
import { WatchPanel } from './watch-panel.js';

/** Milliseconds between two looks at the pushes; their figures are means over some seconds. */
const POLL_INTERVAL = 1000;

const gateway = element('gateway', HTMLElement);

/**
 * @param {'good' | 'bad' | 'waiting'} state
 * @param {string} text
 */
function showGateway(state, text) {
  gateway.dataset['state'] = state;
  if (gateway.textContent !== text) gateway.textContent = text;
}

/** @returns {Promise<import('./access.js').Config>} */
async function loadConfig() {
  for (;;) {
    try {
      return /** @type {import('./access.js').Config} */ (await request('/console/config.json'));
    } catch (error) {
      showGateway('bad', /** @type {Error} */ (error).message);
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
    }
  }
}

const config = await loadConfig();
element('version', HTMLElement).textContent = config.version;

const secure = location.protocol === 'https:';
// Without a certificate of its own the gateway stands behind a proxy, which has the WebSocket at /ws: docs/operations.md.
const webSocketUrl = !secure
  ? `ws://${location.hostname}:${config.wsPort}`
  : config.wssPort
    ? `wss://${location.hostname}:${config.wssPort}`
    : `wss://${location.host}/ws`;

const access = new Access(config, refresh);
const publishPanel = new PublishPanel(webSocketUrl, refresh);
const pushList = new PushList(access.pushes, refresh);
const watchPanel = new WatchPanel(config.embedded, () => access.headers);
new PushPanel({
  embeddedUrl: config.embedded?.rtmpUrl,
  streamName: () => publishPanel.streamName,
  start: async (push) => {
    try {
      await access.pushes.startup(push);
    } catch (error) {
      access.asksForKey(error);
      throw error;
    }
    refresh();
  },
});

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let polling = false;
let again = false;

/** Looks at the pushes now, and then every second. */
function refresh() {
  element('pushes-of', HTMLElement).textContent = `“${publishPanel.streamName}”`;
  if (polling) {
    again = true;
    return;
  }
  clearTimeout(timer);
  void poll();
}

async function poll() {
  polling = true;
  again = false;
  let wait = POLL_INTERVAL;
  try {
    const streamName = publishPanel.streamName;
    const [running, ended] = await Promise.all([
      access.transponders({ ended: false }),
      access.transponders({ ended: true }),
    ]);
    const own = (/** @type {import('../client/push-api.js').Transponder} */ push) =>
      push.sourceStreamName === streamName;
    const pushes = running.filter(own);
    pushList.show(pushes);
    pushList.showEnded(ended.filter(own));
    watchPanel.show(pushes);
    showGateway('good', 'Gateway connected');
  } catch (error) {
    pushList.markStale();
    if (access.asksForKey(error)) {
      showGateway('waiting', 'Gateway asks for its key');
      // The key that is entered is what starts this again.
      wait = Infinity;
    } else if (error instanceof RestError && error.status === 0)
      showGateway('bad', 'Gateway unreachable, trying again…');
    else showGateway('bad', /** @type {Error} */ (error).message);
  }
  polling = false;
  if (again) return refresh();
  // A page that nobody looks at asks nothing; it catches up when it is seen again.
  if (!document.hidden && Number.isFinite(wait)) timer = setTimeout(poll, wait);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) refresh();
});
refresh();
