import { Access } from './access.js';
import { webSocketUrl } from './base.js';
import { element } from './dom.js';
import { PublishPanel } from './publish-panel.js';
import { PushList } from './push-list.js';
import { PushPanel } from './push-panel.js';
import { RecordingList } from './recording-list.js';
import { StreamPoster } from './stream-poster.js';
import { WatchPanel } from './watch-panel.js';

/** Milliseconds between two requests for the state of the pushes. The figures in it are averages over some seconds. */
const POLL_INTERVAL = 1000;

const access = await Access.open(refresh, () => publishPanel.end());
const { config } = access;
// Managers carry no media.
if (config.cluster) element('watch-card', HTMLElement).hidden = true;
/** @type {PublishPanel} */
const publishPanel = new PublishPanel(webSocketUrl(config), () => access.pushes.apiKey, refresh);
const pushList = new PushList(access.pushes, refresh);
const recordingList = new RecordingList(
  async (id) => {
    await access.deleteRecording(id);
    refresh();
  },
  () => access.pushes.apiKey,
);
const streamPoster = new StreamPoster(() => access.pushes.apiKey);
const watchPanel = new WatchPanel(config.embedded, () => access.headers);
/**
 * @template T
 * @param {Promise<T>} answer
 */
async function orAskForKey(answer) {
  try {
    return await answer;
  } catch (error) {
    access.asksForKey(error);
    throw error;
  }
}

const pushPanel = new PushPanel({
  embeddedUrl: config.embedded?.rtmpUrl,
  streamName: () => publishPanel.streamName,
  start: async (push) => {
    await orAskForKey(access.pushes.startup(push));
    refresh();
  },
  check: (push) => orAskForKey(access.pushes.check(push)),
});

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let polling = false;
/** @type {() => void} */
let admit = () => undefined;
/** The gateway answers, with the key if it requires one. @type {Promise<void>} */
const admitted = new Promise((resolve) => (admit = resolve));
let again = false;

/** Requests the state of the pushes now, and every second from then on. */
function refresh() {
  for (const id of ['pushes-of', 'recordings-of'])
    element(id, HTMLElement).textContent = `“${publishPanel.streamName}”`;
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
    await access.showRights();
    const { streamName } = publishPanel;
    const [streams, running, ended, recordings] = await Promise.all([
      access.streams(),
      access.transponders({ ended: false }),
      access.transponders({ ended: true }),
      // Recordings are on the nodes.
      config.cluster ? [] : access.recordings(streamName),
    ]);
    const ofThisStream = (/** @type {import('./access.js').Transponder} */ push) =>
      push.sourceStreamName === streamName;
    const pushes = running.filter(ofThisStream);
    const stream = streams.find(({ name }) => name === streamName);
    publishPanel.showAway(stream?.publisherAway);
    const isElsewhere = stream?.status === 'live' && stream.videoCodec !== null && !publishPanel.hasCamera;
    streamPoster.show(isElsewhere ? streamName : undefined);
    pushList.show(pushes);
    pushList.showEnded(ended.filter(ofThisStream));
    watchPanel.show(pushes);
    recordingList.show(recordings);
    access.connected();
    admit();
  } catch (error) {
    pushList.markStale();
    // Polling starts again when a key is entered.
    if (access.failed(error)) wait = Infinity;
  }
  polling = false;
  if (again) return refresh();
  // A page in the background does not poll. It continues when it is visible again.
  if (!document.hidden && Number.isFinite(wait)) timer = setTimeout(poll, wait);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) refresh();
});
refresh();
await admitted;
// Without them the form takes URLs.
void access.platforms().then(
  (platforms) => pushPanel.showPlatforms(platforms),
  (error) => access.asksForKey(error),
);
await publishPanel.resume(config.resumeWindowMs);
