import { urlOf } from './base.js';
import { create, element, say } from './dom.js';
import { visible } from './text.js';

/** @typedef {import('../client/push-api.js').Transponder} Transponder */

/** Milliseconds before playback is tried again after an error. */
const RETRY_DELAY = 1500;
/** Seconds behind the latest frame: the target, and the limit above which the player catches up. */
const TARGET_LATENCY = 0.6;
const MAX_LATENCY = 1.5;

/** A global that a script of the page sets before modules run. @type {typeof import('mpegts.js').default} */
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
  /** Position of the video element at the last call of {@link show}. */
  #lastTime = 0;

  /**
   * @param {import('./access.js').Config['embedded']} embedded
   * @param {() => Record<string, string>} headers that authorize playback
   */
  constructor(embedded, headers) {
    this.#embedded = embedded;
    this.#headers = headers;
    // Only warnings and errors go to the browser's console.
    mpegts?.LoggingControl.applyConfig({ enableVerbose: false, enableDebug: false, enableInfo: false });
    this.#choice.addEventListener('change', () => this.#follow());
    this.#video.addEventListener('playing', () => {
      this.#note.hidden = true;
      say(this.#state, 'Live, muted. Unmute it in the player.', 'good');
    });
    this.#video.addEventListener('volumechange', () => {
      if (this.#player) say(this.#state, this.#video.muted ? 'Live, muted. Unmute it in the player.' : 'Live.', 'good');
    });
    this.#showIdle();
  }

  /** @param {readonly Transponder[]} pushes of the stream, to any destination */
  show(pushes) {
    this.#pushes = pushes.filter((push) => push.status === 'pushing' && this.#isEmbedded(push));
    const ids = this.#pushes.map((push) => push.mediaSessionId).join();
    if (this.#choice.dataset['ids'] !== ids) {
      const chosen = this.#choice.value;
      this.#choice.replaceChildren(
        ...(ids
          ? this.#pushes.map((push) => create('option', { value: push.mediaSessionId }, visible(push.destination)))
          : [create('option', {}, '–')]),
      );
      if (this.#pushes.some((push) => push.mediaSessionId === chosen)) this.#choice.value = chosen;
      this.#choice.dataset['ids'] = ids;
      this.#choice.disabled = this.#pushes.length < 2;
    }
    this.#follow();
    this.#skipGap();
  }

  #follow() {
    const push = this.#pushes.find((candidate) => candidate.mediaSessionId === this.#choice.value);
    const id = push?.mediaSessionId ?? '';
    if (id === this.#playing) return;
    this.#unload();
    this.#playing = id;
    if (push) this.#play(push);
    else this.#showIdle();
  }

  /** @param {Transponder} push */
  #play(push) {
    if (!mpegts?.isSupported())
      return say(
        this.#state,
        'This browser cannot play the stream here. Another player can, at the RTMP server.',
        'warn',
      );
    this.#note.textContent = 'Waiting for the first frame…';
    const url = urlOf(`${this.#embedded?.playbackBase}/${encodeURIComponent(push.streamName)}.flv`);
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
    // Browsers may refuse to play before the user has clicked; the controls then start it.
    Promise.resolve(player.play()).catch(() => {});
  }

  /**
   * After an absence of the publisher the timestamps have a gap. The video element stops in front of it, so the
   * position is moved.
   */
  #skipGap() {
    const { buffered, currentTime, paused } = this.#video;
    const stalled = currentTime === this.#lastTime && !paused;
    this.#lastTime = currentTime;
    const latest = buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
    if (stalled && latest - currentTime > MAX_LATENCY) this.#video.currentTime = latest - TARGET_LATENCY;
  }

  #unload() {
    clearTimeout(this.#retry);
    const player = this.#player;
    this.#player = undefined;
    // mpegts.js does not allow this inside one of its own events.
    if (player) queueMicrotask(() => player.destroy());
    this.#note.hidden = false;
    say(this.#state, '');
  }

  #showIdle() {
    this.#note.textContent = this.#embedded
      ? `Nothing to play yet. Push to ${this.#embedded.rtmpUrl} to see the stream here.`
      : 'The embedded RTMP server is switched off (embedded_rtmp_server).';
  }

  /** @param {Transponder} push */
  #isEmbedded(push) {
    // Without the published name, which is hidden if it may be a stream key, the stream cannot be requested.
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
