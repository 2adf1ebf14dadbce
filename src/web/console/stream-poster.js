import { urlOf } from './base.js';
import { element } from './dom.js';

/** Milliseconds between two snapshots: each costs the gateway a decode. */
const INTERVAL = 5000;
/** Pixels. */
const WIDTH = 640;

/** Snapshots of a stream that another client publishes, in place of the camera. */
export class StreamPoster {
  #figure = element('stream-poster', HTMLElement);
  #image = element('stream-image', HTMLImageElement);
  #apiKey;
  /** The stream that is shown. */
  #name = '';
  #askedAt = -Infinity;

  /** @param {() => string | undefined} apiKey */
  constructor(apiKey) {
    this.#apiKey = apiKey;
    // Shown as soon as there is something to see.
    this.#image.addEventListener('load', () => (this.#figure.hidden = this.#name === ''));
    this.#image.addEventListener('error', () => (this.#figure.hidden = true));
  }

  /** @param {string | undefined} name of a stream with video; `undefined`: none, or the camera is shown */
  show(name) {
    if (name !== this.#name) this.#hide();
    if (name === undefined || performance.now() - this.#askedAt < INTERVAL) return;
    this.#name = name;
    this.#askedAt = performance.now();
    const url = new URL(urlOf(`/api/v1/streams/${encodeURIComponent(name)}/snapshot.jpg`));
    url.searchParams.set('width', String(WIDTH));
    url.searchParams.set('t', String(Date.now()));
    const apiKey = this.#apiKey();
    // An image element cannot send headers.
    if (apiKey) url.searchParams.set('accessToken', apiKey);
    this.#image.src = url.href;
  }

  #hide() {
    this.#name = '';
    this.#askedAt = -Infinity;
    this.#figure.hidden = true;
    this.#image.removeAttribute('src');
  }
}
