import { openCamera } from '../client/index.js';
import { Access } from './access.js';
import { urlOf } from './base.js';
import { busy, element, say } from './dom.js';
import { WhipSession } from './whip-session.js';

/** Status texts of a connected session, and of one that the user did not end. */
const WORDS = {
  publish: { connected: 'Publishing.', lost: 'The gateway has ended the stream, or the connection was lost.' },
  watch: { connected: 'Playing.', lost: 'The stream has ended, or the connection was lost.' },
};

const access = await Access.open(() => void showAccess());
const camera = element('camera', HTMLVideoElement);
const player = element('player', HTMLVideoElement);

const valueOf = (/** @type {string} */ id) => element(id, HTMLInputElement).value.trim();
const apiKey = () => access.pushes.apiKey ?? '';
const streamName = () => encodeURIComponent(valueOf('stream-name'));

/** @returns {Promise<WhipSession>} */
async function publish() {
  const stream = await openCamera();
  camera.srcObject = stream;
  const connection = new RTCPeerConnection();
  for (const track of stream.getTracks())
    connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
  const rtmpUrl = valueOf('rtmp-url');
  return WhipSession.open(
    urlOf(`/whip/${streamName()}`) + (rtmpUrl && `?rtmpUrl=${encodeURIComponent(rtmpUrl)}`),
    connection,
    apiKey(),
  );
}

/** @returns {Promise<WhipSession>} */
async function watch() {
  const connection = new RTCPeerConnection();
  for (const kind of ['audio', 'video']) connection.addTransceiver(kind, { direction: 'recvonly' });
  const stream = new MediaStream();
  connection.ontrack = ({ track }) => stream.addTrack(track);
  player.srcObject = stream;
  return WhipSession.open(urlOf(`/whep/${streamName()}`), connection, apiKey());
}

/** @param {HTMLVideoElement} screen */
function clear(screen) {
  if (screen === camera && screen.srcObject instanceof MediaStream)
    for (const track of screen.srcObject.getTracks()) track.stop();
  screen.srcObject = null;
}

/**
 * Makes a button open a session, and close it when it is pressed again.
 *
 * @param {'publish' | 'watch'} name
 * @param {HTMLVideoElement} screen
 * @param {() => Promise<WhipSession>} open
 */
function switchFor(name, screen, open) {
  const button = element(name, HTMLButtonElement);
  const line = element(`${name}-state`, HTMLElement);
  const label = button.textContent;
  /** @type {WhipSession | undefined} */
  let session;

  const end = () => {
    session = undefined;
    button.textContent = label;
    clear(screen);
  };
  const show = (/** @type {WhipSession} */ shown) => {
    if (shown !== session) return;
    const { state } = shown;
    if (state === 'connected') say(line, WORDS[name].connected, 'good');
    else if (state === 'disconnected') say(line, 'The gateway does not answer…', 'warn');
    else if (state === 'failed' || state === 'closed') {
      end();
      // The gateway may not have noticed yet, and would keep the name reserved.
      void shown.close();
      say(line, WORDS[name].lost, 'bad');
    } else say(line, 'Connecting…');
  };

  const act = async () => {
    try {
      if (session) {
        const ended = session;
        end();
        await ended.close();
        say(line, 'Ended.');
      } else {
        say(line, 'Connecting…');
        const opened = await open();
        session = opened;
        opened.addEventListener('change', () => show(opened));
        show(opened);
        button.textContent = 'Stop';
      }
    } catch (error) {
      end();
      say(line, error instanceof Error ? error.message : String(error), 'bad');
    }
  };
  element(`${name}-form`, HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    void busy(button, act);
  });
  addEventListener('pagehide', () => void session?.close());
  // Before, the browser itself would send the form.
  button.disabled = false;
}

switchFor('publish', camera, publish);
switchFor('watch', player, watch);
await showAccess();

async function showAccess() {
  try {
    // Without a key the gateway may allow everything.
    await access.ask('/api/v1/me');
    await access.showRights();
    access.connected();
  } catch (error) {
    access.failed(error);
  }
}
