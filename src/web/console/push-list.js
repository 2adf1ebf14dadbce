import { busy, create, element } from './dom.js';
import { awayText, byteCount, clockTime, visible } from './text.js';
import { checkName, verdictItem } from './verdicts.js';

/**
 * @typedef {import('../client/push-api.js').Transponder} Transponder
 * @typedef {import('../client/push-api.js').PushApi} PushApi
 */

const STATUS_TEXT = {
  connecting: 'Connecting',
  pushing: 'Pushing',
  standby: 'Standby',
  retrying: 'Retrying',
  ended: 'Ended',
};
const LEG_TEXT = { ...STATUS_TEXT, idle: 'Waiting' };
const STANDBY_TEXT = {
  publisher: 'Standby is shown: the publisher is away.',
  video: 'Standby is shown: the publisher sends no video.',
  manual: 'Standby is shown: it was switched on by hand.',
};
/** Reason codes of ends that a user asked for. The others are shown as errors. */
const WANTED_ENDS = new Set(['TERMINATED', 'STREAM_STOPPED']);
/** Number of ended pushes in the list. */
const ENDED_SHOWN = 20;

/** @type {readonly (readonly [title: string, value: (push: Transponder) => string])[]} */
const FIGURES = [
  ['Bitrate', (push) => `${Math.round(push.bitrate)} kbit/s`],
  ['Frame rate', (push) => `${push.fps.toFixed(1)} fps`],
  ['Resolution', (push) => (push.height ? `${push.width}×${push.height}` : '–')],
  ['Sent', (push) => byteCount(push.bytesSent)],
  ['Dropped', (push) => String(push.framesDropped)],
  ['Buffer', (push) => `${Math.round(push.bufferMs)} ms`],
  ['Reconnects', (push) => String(push.attempt)],
  ['Codecs', ({ codecs }) => [codecs?.video, codecs?.audio].filter(Boolean).join(', ') || '–'],
];

/** The pushes of a stream, each with its state and its buttons, and ended pushes with the reason. */
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
   * @param {() => void} changed called after a button has taken effect
   */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** The gateway does not answer: the list shows an earlier state. */
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
      if (item.update(push)) this.#announcement.textContent = `${visible(push.destination)}: ${stateText(push)}`;
    }
    this.#none.hidden = pushes.length > 0;
  }

  /** @param {readonly Transponder[]} ended */
  showEnded(ended) {
    const shown = ended.slice(0, ENDED_SHOWN);
    const key = shown.map((push) => push.mediaSessionId).join();
    if (key === this.#endedShown) return;
    const latest = shown[0];
    // An error must be visible without a click.
    if (latest && !WANTED_ENDS.has(latest.reasonCode)) {
      this.#ended.open = true;
      this.#announcement.textContent = `${visible(latest.destination)} has ended: ${visible(latest.reason)}`;
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
      await actOn(this.#api, id, action, {
        file: element('sound-file', HTMLInputElement).value.trim(),
        loop: element('sound-loop', HTMLInputElement).checked,
      });
    } catch (error) {
      this.#error.textContent = /** @type {Error} */ (error).message;
    }
    this.#changed();
  }
}

/**
 * @param {PushApi} api
 * @param {string} id
 * @param {string} action of a button of a push
 * @param {{ file: string, loop: boolean }} sound
 */
export async function actOn(api, id, action, { file, loop }) {
  if (action === 'mute') await api.mute(id);
  else if (action === 'unmute') await api.unmute(id);
  else if (action === 'standby on' || action === 'standby off') await api.standby(id, action === 'standby on');
  else if (action === 'sound off') await api.soundOff(id);
  else if (action === 'sound on') await api.soundOn(id, file, loop);
  else await api.terminate(id);
}

/** One push. Its elements are kept and only their text changes, so that the focus stays where it is. */
export class PushItem {
  #status = create('span', { class: 'pill' });
  #reason = create('p', { class: 'reason' });
  #legs = create('ul', { class: 'legs', 'aria-label': 'Servers' });
  #warnings = create('ul', { class: 'verdicts', 'aria-label': 'Rules that this push breaks' });
  #figures = FIGURES.map(([title, value]) => ({ title, value, shown: create('dd') }));
  #mute;
  #sound;
  #standby;
  /** @type {Transponder} */
  #push;

  /**
   * @param {Transponder} push
   * @param {(action: string) => Promise<void>} act
   */
  constructor(push, act) {
    this.#push = push;
    // Screen readers read the destination with each button: the labels are the same in all pushes.
    const described = { type: 'button', 'aria-describedby': `destination-${push.mediaSessionId}` };
    this.#mute = create('button', described);
    this.#sound = create('button', described);
    this.#standby = create('button', described);
    const terminate = create('button', { ...described, class: 'danger' }, 'Terminate');
    this.element = create(
      'li',
      { class: 'push' },
      create(
        'header',
        {},
        this.#status,
        create('code', { id: described['aria-describedby'] }, visible(push.destination)),
      ),
      this.#reason,
      this.#legs,
      this.#warnings,
      create(
        'dl',
        { class: 'figures' },
        ...this.#figures.map(({ title, shown }) => create('div', {}, create('dt', {}, title), shown)),
      ),
      create('div', { class: 'buttons' }, this.#mute, this.#sound, this.#standby, terminate),
    );
    /**
     * @param {HTMLButtonElement} button
     * @param {() => string} action
     */
    const connect = (button, action) => button.addEventListener('click', () => busy(button, () => act(action())));
    connect(this.#mute, () => (this.#push.muted ? 'unmute' : 'mute'));
    connect(this.#sound, () => (this.#push.soundEnabled ? 'sound off' : 'sound on'));
    connect(this.#standby, () => (this.#isHeld ? 'standby off' : 'standby on'));
    connect(terminate, () => 'terminate');
  }

  get #isHeld() {
    return this.#push.standby?.reason === 'manual';
  }

  /**
   * @param {Transponder} push
   * @returns {boolean} whether its state has changed
   */
  update(push) {
    this.#push = push;
    const text = stateText(push);
    const changed = this.#status.textContent !== text;
    this.#status.dataset['state'] = push.publisherAway ? 'away' : push.status;
    if (changed) this.#status.textContent = text;
    this.#reason.textContent = [
      push.standby && STANDBY_TEXT[push.standby.reason],
      push.publisherAway && awayText(push.publisherAway),
      visible(push.reason),
      complyText(push),
    ]
      .filter(Boolean)
      .join(' ');
    replaceChanged(this.#legs, push.legs.length > 1 ? push.legs.map(legItem) : []);
    replaceChanged(this.#warnings, (push.warnings ?? []).map(verdictItem));
    this.#standby.hidden = !push.standbyEnabled;
    this.#standby.textContent = this.#isHeld ? 'Standby off' : 'Standby on';
    for (const { title, value, shown } of this.#figures) {
      shown.textContent = value(push);
      if (title === 'Codecs') shown.title = visible(push.codecs?.why ?? '');
    }
    this.#mute.textContent = push.muted ? 'Unmute' : 'Mute';
    this.#sound.textContent = push.soundEnabled ? 'Sound off' : 'Sound on';
    return changed;
  }
}

/** @param {Transponder} push */
function complyText({ comply }) {
  if (!comply) return '';
  const rules = comply.because.map((check) => checkName(check).toLowerCase()).join(', ');
  const state = comply.state === 'encoding' ? `Re-encoded, because the stream breaks rules: ${rules}.` : '';
  return [state, comply.problem && visible(comply.problem)].filter(Boolean).join(' ');
}

/** @param {import('../client/wire.js').TransponderLeg} leg */
function legItem({ leg, status, destination, reason }) {
  return create(
    'li',
    {},
    create('span', { class: 'pill', 'data-state': status }, LEG_TEXT[status]),
    `${leg === 'primary' ? 'First server' : 'Backup'}: `,
    create('code', {}, visible(destination)),
    ...(reason ? [` ${visible(reason)}`] : []),
  );
}

/**
 * Leaves a list alone that stays the same, because screen readers would read it again.
 *
 * @param {HTMLUListElement} list
 * @param {readonly HTMLLIElement[]} items
 */
function replaceChanged(list, items) {
  const html = items.map(({ outerHTML }) => outerHTML).join('');
  if (list.innerHTML !== html) list.replaceChildren(...items);
  list.hidden = items.length === 0;
}

/** @param {Transponder} push */
function stateText(push) {
  return push.publisherAway && push.status !== 'standby' ? 'Publisher away' : STATUS_TEXT[push.status];
}

/** @param {Transponder} push */
function endedItem(push) {
  const wanted = WANTED_ENDS.has(push.reasonCode) ? '' : undefined;
  const at = push.endedAt ?? '';
  return create(
    'li',
    {},
    create('code', {}, visible(push.destination)),
    create('time', { datetime: at }, at && clockTime(at)),
    create('span', { class: 'reason', 'data-wanted': wanted }, visible(push.reason) || 'No reason given'),
  );
}
