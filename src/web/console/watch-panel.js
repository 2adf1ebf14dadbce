import { create, element, say } from './dom.js';

/** @typedef {import('../client/push-api.js').Transponder} Transponder */

/** Milliseconds before a broken playback is tried again. */
const RETRY_DELAY = 1500;
/** Seconds behind the latest picture, as it should be and before something is done about it. */
const TARGET_LATENCY = 0.6;
const MAX_LATENCY = 1.5;

/** Loaded by the page before its modules run. @type {typeof import('mpegts.js').default} */
const mpegts = /** @type {any} */ (globalThis).mpegts;

/** Plays what the embedded RTMP server receives, by HTTP-FLV. */
export class WatchPanel {
  #video = element('watch', HTMLVideoElement);
  #note = element('watch-note', HTMLElement);
  #choice = element('watch-choice', HTMLSelectElement);
  #state = element('watch-state', HTMLElement);
  #embedded;
  #headers;
  /** @type {readonly Transponder[]} */
  #pushes = [];
  /** The id of the push that plays. */
  #playing = '';
  /** @type {ReturnType<typeof mpegts.createPlayer> | undefined} */
  #player;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** Where the element was when the pushes were looked at last. */
  #lastTime = 0;

  /**
   * @param {import('./access.js').Config['embedded']} embedded
   * @param {() => Record<string, string>} headers with which the gateway lets the page watch
   */
  constructor(embedded, headers) {
    this.#embedded = embedded;
    this.#headers = headers;
    // Its warnings are of use to whoever looks into the browser's console, its progress reports are not.
    mpegts?.LoggingControl.applyConfig({ enableVerbose: false, enableDebug: false, enableInfo: false });
    this.#choice.addEventListener('change', () => this.#follow());
    this.#video.addEventListener('playing', () => {
      this.#note.hidden = true;
      say(this.#state, 'Live, muted. Switch the sound on in the player.', 'good');
    });
    this.#video.addEventListener('volumechange', () => {
      if (this.#player)
        say(this.#state, this.#video.muted ? 'Live, muted. Switch the sound on in the player.' : 'Live.', 'good');
    });
    this.#rest();
  }

  /** @param {readonly Transponder[]} pushes of the stream, of which some go to the embedded server */
  show(pushes) {
    this.#pushes = pushes.filter((push) => push.status === 'pushing' && this.#isEmbedded(push));
    const ids = this.#pushes.map((push) => push.mediaSessionId).join();
    if (this.#choice.dataset['ids'] !== ids) {
      const chosen = this.#choice.value;
      this.#choice.replaceChildren(
        ...(ids
          ? this.#pushes.map((push) => create('option', { value: push.mediaSessionId }, push.destination))
          : [create('option', {}, '–')]),
      );
      if (this.#pushes.some((push) => push.mediaSessionId === chosen)) this.#choice.value = chosen;
      this.#choice.dataset['ids'] = ids;
      this.#choice.disabled = this.#pushes.length < 2;
    }
    this.#follow();
    this.#skipHole();
  }

  #follow() {
    const push = this.#pushes.find((candidate) => candidate.mediaSessionId === this.#choice.value);
    const id = push?.mediaSessionId ?? '';
    if (id === this.#playing) return;
    this.#unload();
    this.#playing = id;
    if (push) this.#play(push);
    else this.#rest();
  }

  /** @param {Transponder} push */
  #play(push) {
    if (!mpegts?.isSupported())
      return say(
        this.#state,
        'This browser cannot play the stream here. Another player can, at the RTMP server.',
        'warn',
      );
    this.#note.textContent = 'Waiting for the first picture…';
    const url = new URL(`${this.#embedded?.playbackBase}/${encodeURIComponent(push.streamName)}.flv`, location.href)
      .href;
    const player = mpegts.createPlayer(
      { type: 'flv', isLive: true, url },
      {
        headers: this.#headers(),
        enableStashBuffer: false,
        liveSync: true,
        liveSyncMaxLatency: MAX_LATENCY,
        liveSyncTargetLatency: TARGET_LATENCY,
        autoCleanupSourceBuffer: true,
      },
    );
    this.#player = player;
    const again = () => {
      if (this.#player !== player) return;
      this.#unload();
      this.#note.textContent = 'Connecting to the RTMP server again…';
      this.#retry = setTimeout(() => this.#play(push), RETRY_DELAY);
    };
    player.on(mpegts.Events.ERROR, again);
    player.on(mpegts.Events.LOADING_COMPLETE, again);
    player.attachMediaElement(this.#video);
    player.load();
    // Refused when the page was never touched: the controls then start it.
    Promise.resolve(player.play()).catch(() => {});
  }

  /** A publisher who was away leaves a hole in the pictures, before or in which the element waits for ever, whatever has come since. */
  #skipHole() {
    const { buffered, currentTime, paused } = this.#video;
    const stands = currentTime === this.#lastTime && !paused;
    this.#lastTime = currentTime;
    const latest = buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
    if (stands && latest - currentTime > MAX_LATENCY) this.#video.currentTime = latest - TARGET_LATENCY;
  }

  #unload() {
    clearTimeout(this.#retry);
    const player = this.#player;
    this.#player = undefined;
    // It must not be destroyed from within one of its own events.
    if (player) queueMicrotask(() => player.destroy());
    this.#note.hidden = false;
    say(this.#state, '');
  }

  #rest() {
    this.#note.textContent = this.#embedded
      ? `Nothing to watch yet. Push to ${this.#embedded.rtmpUrl} and it shows here.`
      : 'The embedded RTMP server is switched off (embedded_rtmp_server).';
  }

  /** @param {Transponder} push */
  #isEmbedded(push) {
    // The name under which it is published there is covered where it may be a stream key.
    if (!this.#embedded || push.streamName === '***') return false;
    const own = new URL(this.#embedded.rtmpUrl);
    const [, host, port = '1935', application] = /^rtmp:\/\/([^/]*?)(?::(\d+))?\/([^/?]+)/.exec(push.destination) ?? [];
    return (
      ['127.0.0.1', 'localhost', '[::1]'].includes(host ?? '') &&
      port === (own.port || '1935') &&
      application === own.pathname.split('/')[1]
    );
  }
}
