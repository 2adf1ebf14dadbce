import { element } from './dom.js';

const KINDS = /** @type {const} */ ({ videoinput: 'camera-choice', audioinput: 'microphone-choice' });

/** The lists of cameras and microphones. Browsers name them once the page may use them. */
export class Devices {
  #lists = {
    videoinput: element(KINDS.videoinput, HTMLSelectElement),
    audioinput: element(KINDS.audioinput, HTMLSelectElement),
  };

  #inUse = false;

  constructor() {
    if (!navigator.mediaDevices) return;
    navigator.mediaDevices.addEventListener('devicechange', () => void this.refresh());
    void this.refresh();
  }

  /** Lists what is there now; the choice stays if its device does. */
  async refresh() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    for (const [kind, list] of Object.entries(this.#lists)) {
      const chosen = list.value;
      const named = devices.filter((device) => device.kind === kind && device.deviceId !== '' && device.label !== '');
      const usual = new Option(kind === 'videoinput' ? 'the usual camera' : 'the usual microphone', '');
      list.replaceChildren(usual, ...named.map(({ label, deviceId }) => new Option(label, deviceId)));
      if (named.some(({ deviceId }) => deviceId === chosen)) list.value = chosen;
    }
    this.#enable();
  }

  /** While media is sent a choice would have no effect. @param {boolean} inUse */
  lock(inUse) {
    this.#inUse = inUse;
    this.#enable();
  }

  #enable() {
    for (const list of Object.values(this.#lists)) list.disabled = this.#inUse || list.options.length < 2;
  }

  /** The kinds of devices that the computer has. */
  async kinds() {
    return new Set((await navigator.mediaDevices.enumerateDevices()).map(({ kind }) => kind));
  }

  /** The device that the user has chosen. @param {keyof typeof KINDS} kind @returns {MediaTrackConstraints} */
  chosen(kind) {
    const { value } = this.#lists[kind];
    return value === '' ? {} : { deviceId: { exact: value } };
  }
}
