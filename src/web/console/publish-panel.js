import { Session, openCamera } from '../client/index.js';
import { busy, element, say } from './dom.js';

/** With the token that is kept here, for as long as the tab, the page goes on with its stream after it was reloaded. */
const STORAGE_KEY = 'webrtc-transponder.auth-token';

/** Opens the camera, shows it and publishes it. */
export class PublishPanel {
  #name = element('stream-name', HTMLInputElement);
  #picture = element('picture', HTMLSelectElement);
  #button = element('publish', HTMLButtonElement);
  #video = element('camera', HTMLVideoElement);
  #note = element('camera-note', HTMLElement);
  #state = element('publish-state', HTMLElement);
  #webSocketUrl;
  #changed;
  /** @type {Session | undefined} */
  #session;
  /** @type {import('../client/index.js').Publication | undefined} */
  #publication;
  /** @type {MediaStream | undefined} */
  #camera;

  /**
   * @param {string} webSocketUrl
   * @param {() => void} changed called when the stream's name, its publication or one of its pushes has changed
   */
  constructor(webSocketUrl, changed) {
    this.#webSocketUrl = webSocketUrl;
    this.#changed = changed;
    this.#name.addEventListener('input', changed);
    element('publish-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#act();
    });
    // The page comes with it disabled: pressed before somebody listens, it would do nothing.
    if (navigator.mediaDevices) this.#button.disabled = false;
    else
      this.#note.textContent =
        'No camera here: browsers give it only to pages that come over https or from http://127.0.0.1.';
  }

  get streamName() {
    return this.#name.value.trim();
  }

  async #act() {
    const done = busy(this.#button, async () => (this.#publication ? this.#publication.stop() : this.#start()));
    this.#show();
    await done;
    this.#show();
  }

  async #start() {
    try {
      say(this.#state, 'Opening the camera…');
      const [width = 0, height = 0] = this.#picture.value.split('x').map(Number);
      // Who asks for both where one is missing gets neither.
      const kinds = new Set((await navigator.mediaDevices.enumerateDevices()).map(({ kind }) => kind));
      const [audio, video] = [kinds.has('audioinput'), kinds.has('videoinput')];
      this.#camera = await openCamera({
        audio: audio || !video,
        video: (video || !audio) && { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30 } },
      });
      this.#video.srcObject = this.#camera;
      this.#note.hidden = true;
      say(this.#state, 'Connecting to the gateway…');
      this.#session ??= await this.#connect();
      const publication = await this.#session.publish({ name: this.streamName, stream: this.#camera });
      publication.on('state', (state, info) => this.#follow(state, info));
      publication.on('transponder', this.#changed);
      this.#publication = publication;
      this.#follow('publishing', '');
    } catch (error) {
      this.#release();
      say(this.#state, /** @type {Error} */ (error).message, 'bad');
    }
  }

  async #connect() {
    const session = await Session.connect(this.#webSocketUrl, {
      authToken: sessionStorage.getItem(STORAGE_KEY) ?? undefined,
    });
    sessionStorage.setItem(STORAGE_KEY, session.authToken);
    session.on('state', (state) => {
      if (state === 'closed') this.#session = undefined;
    });
    return session;
  }

  /**
   * @param {import('../client/publication.js').PublicationState} state
   * @param {string} info
   */
  #follow(state, info) {
    if (state === 'publishing') say(this.#state, `On air as “${this.#publication?.name}”${this.#missing()}.`, 'good');
    else if (state === 'resuming') say(this.#state, `${info}. Trying to publish again…`, 'warn');
    else {
      this.#publication = undefined;
      this.#release();
      say(
        this.#state,
        info === 'Stopped by user' ? 'Stopped.' : `Stopped: ${info}`,
        info === 'Stopped by user' ? '' : 'bad',
      );
    }
    this.#show();
    this.#changed();
  }

  #missing() {
    if (this.#camera?.getAudioTracks().length === 0) return ', without sound: there is no microphone';
    return this.#camera?.getVideoTracks().length === 0 ? ', without a picture: there is no camera' : '';
  }

  #release() {
    for (const track of this.#camera?.getTracks() ?? []) track.stop();
    this.#camera = undefined;
    this.#video.srcObject = null;
    this.#note.hidden = false;
  }

  #show() {
    const live = this.#publication !== undefined;
    this.#button.textContent = live ? 'Stop' : 'Publish';
    this.#button.classList.toggle('primary', !live);
    this.#button.classList.toggle('danger', live);
    this.#name.disabled = this.#picture.disabled = live || this.#button.disabled;
  }
}
