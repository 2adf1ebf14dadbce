import { urlOf } from './base.js';
import { busy, create, element } from './dom.js';
import { byteCount, visible } from './text.js';

/**
 * @typedef {object} Recording an entry of `/api/v1/recordings`, as far as the page uses it
 * @property {string} id
 * @property {string} file
 * @property {'recording' | 'finishing' | 'complete' | 'failed'} state
 * @property {string} startedAt
 * @property {number} durationMs
 * @property {number} bytes
 * @property {number} width pixels; 0 without video
 * @property {string} reason
 * @property {Storage} [storage] absent where no bucket is configured
 */

/**
 * @typedef {object} Storage where a recording is besides the disk
 * @property {'waiting' | 'uploading' | 'retrying' | 'stored'} state
 * @property {string} bucket
 * @property {number} uploadedBytes
 * @property {boolean} local
 * @property {string} reason
 */

const STATE_TEXT = { recording: 'Recording', finishing: 'Finishing', complete: 'Complete', failed: 'Failed' };
/** Colours of the same meaning in the list of pushes; what is complete has none. */
const TONE = { recording: 'pushing', finishing: 'connecting', complete: undefined, failed: 'ended' };

/** The recordings of a stream: plays and deletes them. Hidden while there are none. */
export class RecordingList {
  #section = element('recordings-card', HTMLElement);
  #list = element('recordings', HTMLUListElement);
  #error = element('recordings-error', HTMLElement);
  #video = element('recording-video', HTMLVideoElement);
  #screen = element('recording-screen', HTMLElement);
  #shown = '';
  /** The recording in the player. @type {string | undefined} */
  #playing;
  #remove;
  #apiKey;

  /**
   * @param {(id: string) => Promise<unknown>} remove deletes a recording
   * @param {() => string | undefined} apiKey
   */
  constructor(remove, apiKey) {
    this.#remove = remove;
    this.#apiKey = apiKey;
  }

  /** @param {readonly Recording[]} recordings */
  show(recordings) {
    this.#section.hidden = recordings.length === 0;
    if (!recordings.some(({ id }) => id === this.#playing)) this.#stop();
    const key = JSON.stringify(recordings);
    if (key === this.#shown) return;
    this.#shown = key;
    // A running recording changes every second: the button that has the focus gets it back.
    const focused = document.activeElement?.id;
    this.#list.replaceChildren(...recordings.map((recording) => this.#item(recording)));
    if (focused) document.getElementById(focused)?.focus();
  }

  /** @param {Recording} recording */
  #item({ id, file, state, startedAt, durationMs, bytes, width, reason, storage }) {
    const described = { type: 'button', 'aria-describedby': `file-${id}` };
    const play = create('button', { ...described, id: `play-${id}` }, 'Play');
    const remove = create('button', { ...described, id: `delete-${id}`, class: 'danger' }, 'Delete');
    play.addEventListener('click', () => this.#play(id));
    remove.addEventListener('click', () => void busy(remove, () => this.#delete(id)));
    remove.disabled = state === 'recording' || state === 'finishing';
    const seconds = Math.round(durationMs / 1000);
    const length = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    const date = new Date(startedAt).toLocaleString();
    const text = create(
      'div',
      {},
      create(
        'header',
        {},
        create('span', { class: 'pill', 'data-state': TONE[state] }, STATE_TEXT[state]),
        create('code', { id: described['aria-describedby'] }, visible(file)),
      ),
      create('p', { class: 'hint' }, `${date} · ${length} · ${byteCount(bytes)}`),
      ...(storage ? [create('p', { class: 'hint storage' }, storageText(storage, bytes))] : []),
      create('p', { class: 'reason' }, state === 'failed' ? visible(reason) : ''),
      create('div', { class: 'buttons' }, play, remove),
    );
    const hasPoster = width > 0 && !remove.disabled;
    return create('li', { class: 'push recording' }, ...(hasPoster ? [this.#poster(id)] : []), text);
  }

  /** @param {string} id */
  #poster(id) {
    const image = create('img', { class: 'poster', src: this.#urlOf(id, 'poster.jpg'), alt: '' });
    image.addEventListener('error', () => image.remove());
    return image;
  }

  /**
   * @param {string} id
   * @param {'file' | 'poster.jpg'} what
   */
  #urlOf(id, what) {
    const url = new URL(urlOf(`/api/v1/recordings/${id}/${what}`));
    const apiKey = this.#apiKey();
    // Video and image elements cannot send headers.
    if (apiKey) url.searchParams.set('accessToken', apiKey);
    return url.href;
  }

  /** @param {string} id */
  #play(id) {
    this.#error.textContent = '';
    this.#playing = id;
    this.#screen.hidden = false;
    this.#video.src = this.#urlOf(id, 'file');
    this.#video.play().catch((/** @type {Error} */ error) => {
      if (error.name !== 'AbortError') this.#error.textContent = `The recording cannot be played: ${error.message}`;
    });
  }

  #stop() {
    if (this.#playing === undefined) return;
    this.#playing = undefined;
    this.#video.removeAttribute('src');
    this.#video.load();
    this.#screen.hidden = true;
  }

  /** @param {string} id */
  async #delete(id) {
    if (!confirm('Delete this recording and its file?')) return;
    this.#error.textContent = '';
    try {
      await this.#remove(id);
    } catch (error) {
      this.#error.textContent = /** @type {Error} */ (error).message;
    }
  }
}

/**
 * @param {Storage} storage
 * @param {number} bytes of the file
 */
function storageText({ state, bucket, uploadedBytes, local, reason }, bytes) {
  const name = visible(bucket);
  if (state === 'stored') return `In the bucket ${name}${local ? ' and on the disk' : ''}`;
  if (state === 'retrying') return `The bucket ${name} does not take it yet: ${visible(reason)}`;
  if (state === 'waiting') return `Waits for its upload to the bucket ${name}`;
  return `Uploading to the bucket ${name}: ${byteCount(uploadedBytes)} of ${byteCount(bytes)}`;
}
