import { busy, create, element } from './dom.js';

/**
 * @typedef {import('../client/push-api.js').Transponder} Transponder
 * @typedef {import('../client/push-api.js').PushApi} PushApi
 */

const STATUS_TEXT = { connecting: 'Connecting', pushing: 'Pushing', retrying: 'Retrying', ended: 'Ended' };
/** Ends that somebody wanted; the others are shown as faults. */
const WANTED_ENDS = new Set(['TERMINATED', 'STREAM_STOPPED']);
/** Ended pushes that are shown. */
const ENDED_SHOWN = 20;

/** @type {readonly (readonly [title: string, value: (push: Transponder) => string])[]} */
const FIGURES = [
  ['Bitrate', (push) => `${Math.round(push.bitrate)} kbit/s`],
  ['Frames', (push) => `${push.fps.toFixed(1)} /s`],
  ['Picture', (push) => (push.height ? `${push.width}×${push.height}` : '–')],
  ['Sent', (push) => bytes(push.bytesSent)],
  ['Dropped', (push) => String(push.framesDropped)],
  ['Buffer', (push) => `${Math.round(push.bufferMs)} ms`],
  ['Reconnects', (push) => String(push.attempt)],
];

/** The pushes of a stream, each with its state and its buttons, and those that have ended with why. */
export class PushList {
  #list = element('pushes', HTMLUListElement);
  #none = element('no-pushes', HTMLElement);
  #error = element('pushes-error', HTMLElement);
  #announcement = element('announcement', HTMLElement);
  #ended = element('ended', HTMLDetailsElement);
  #endedList = element('ended-pushes', HTMLUListElement);
  #endedShown = '';
  /** @type {Map<string, PushItem>} */
  #items = new Map();
  #api;
  #changed;

  /**
   * @param {PushApi} api
   * @param {() => void} changed called after a button did something
   */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** The gateway does not answer: what is shown was true a moment ago. */
  markStale() {
    this.#list.dataset['stale'] = '';
  }

  /** @param {readonly Transponder[]} pushes */
  show(pushes) {
    delete this.#list.dataset['stale'];
    const present = new Set(pushes.map((push) => push.mediaSessionId));
    for (const [id, item] of this.#items) {
      if (present.has(id)) continue;
      item.element.remove();
      this.#items.delete(id);
    }
    for (const push of pushes) {
      let item = this.#items.get(push.mediaSessionId);
      if (!item) {
        item = new PushItem(push, (action) => this.#act(action, push.mediaSessionId));
        this.#items.set(push.mediaSessionId, item);
        this.#list.append(item.element);
      }
      if (item.update(push)) this.#announcement.textContent = `${push.destination}: ${STATUS_TEXT[push.status]}`;
    }
    this.#none.hidden = pushes.length > 0;
  }

  /** @param {readonly Transponder[]} ended */
  showEnded(ended) {
    const shown = ended.slice(0, ENDED_SHOWN);
    const key = shown.map((push) => push.mediaSessionId).join();
    if (key === this.#endedShown) return;
    const latest = shown[0];
    // A fault must be seen without a click.
    if (latest && !WANTED_ENDS.has(latest.reasonCode)) {
      this.#ended.open = true;
      this.#announcement.textContent = `${latest.destination} has ended: ${latest.reason}`;
    }
    this.#endedShown = key;
    this.#ended.hidden = shown.length === 0;
    element('ended-count', HTMLElement).textContent = String(shown.length);
    this.#endedList.replaceChildren(...shown.map(endedItem));
  }

  /**
   * @param {string} action
   * @param {string} id
   */
  async #act(action, id) {
    this.#error.textContent = '';
    try {
      if (action === 'mute') await this.#api.mute(id);
      else if (action === 'unmute') await this.#api.unmute(id);
      else if (action === 'sound off') await this.#api.soundOff(id);
      else if (action === 'sound on')
        await this.#api.soundOn(
          id,
          element('sound-file', HTMLInputElement).value.trim(),
          element('sound-loop', HTMLInputElement).checked,
        );
      else await this.#api.terminate(id);
    } catch (error) {
      this.#error.textContent = /** @type {Error} */ (error).message;
    }
    this.#changed();
  }
}

/** One push. Its elements stay and only their text changes, so that the focus stays where it is. */
class PushItem {
  #status = create('span', { class: 'pill' });
  #reason = create('p', { class: 'reason' });
  #figures = FIGURES.map(([title, value]) => ({ title, value, shown: create('dd') }));
  #mute;
  #sound;
  /** @type {Transponder} */
  #push;

  /**
   * @param {Transponder} push
   * @param {(action: string) => Promise<void>} act
   */
  constructor(push, act) {
    this.#push = push;
    // Read out with each button: they are called the same in all pushes.
    const described = { type: 'button', 'aria-describedby': `destination-${push.mediaSessionId}` };
    this.#mute = create('button', described);
    this.#sound = create('button', described);
    const terminate = create('button', { ...described, class: 'danger' }, 'Terminate');
    this.element = create(
      'li',
      { class: 'push' },
      create('header', {}, this.#status, create('code', { id: described['aria-describedby'] }, push.destination)),
      this.#reason,
      create(
        'dl',
        { class: 'figures' },
        ...this.#figures.map(({ title, shown }) => create('div', {}, create('dt', {}, title), shown)),
      ),
      create('div', { class: 'buttons' }, this.#mute, this.#sound, terminate),
    );
    /**
     * @param {HTMLButtonElement} button
     * @param {() => string} action
     */
    const connect = (button, action) => button.addEventListener('click', () => busy(button, () => act(action())));
    connect(this.#mute, () => (this.#push.muted ? 'unmute' : 'mute'));
    connect(this.#sound, () => (this.#push.soundEnabled ? 'sound off' : 'sound on'));
    connect(terminate, () => 'terminate');
  }

  /**
   * @param {Transponder} push
   * @returns {boolean} whether its status is another one now
   */
  update(push) {
    this.#push = push;
    const changed = this.#status.dataset['state'] !== push.status;
    this.#status.dataset['state'] = push.status;
    this.#status.textContent = STATUS_TEXT[push.status];
    this.#reason.textContent = push.reason;
    for (const { value, shown } of this.#figures) shown.textContent = value(push);
    this.#mute.textContent = push.muted ? 'Unmute' : 'Mute';
    this.#sound.textContent = push.soundEnabled ? 'Sound off' : 'Sound on';
    return changed;
  }
}

/** @param {Transponder} push */
function endedItem(push) {
  const wanted = WANTED_ENDS.has(push.reasonCode) ? '' : undefined;
  const at = push.endedAt ?? '';
  return create(
    'li',
    {},
    create('code', {}, push.destination),
    create('time', { datetime: at }, at && new Date(at).toLocaleTimeString()),
    create('span', { class: 'reason', 'data-wanted': wanted }, push.reason || 'No reason given'),
  );
}

/** @param {number} count */
function bytes(count) {
  if (count < 1e6) return `${Math.round(count / 1e3)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}
