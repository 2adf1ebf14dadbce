import { Session, openCamera } from '../client/index.js';
import { pictureInPicture } from '../examples/picture-in-picture.js';
import { Devices } from './devices.js';
import { busy, element, say } from './dom.js';
import { rememberPublication, takeLeftPublication } from './memory.js';
import { addMicrophone, openScreen } from './open-screen.js';
import { awayText } from './text.js';
import { UplinkMeter } from './uplink-meter.js';
import { testUplink } from './uplink-test.js';

/** In `sessionStorage`: with this token the page continues its stream after a reload. */
const STORAGE_KEY = 'webrtc-transponder.auth-token';
/**
 * Attempts to continue a stream after a reload, and milliseconds between them: the gateway may notice the reload late.
 */
const RESUME_ATTEMPTS = 5;
const RESUME_INTERVAL = 1000;

/** Opens the camera, shows it and publishes it. */
export class PublishPanel {
  #name = element('stream-name', HTMLInputElement);
  #resolution = element('resolution', HTMLSelectElement);
  #source = element('source', HTMLSelectElement);
  #button = element('publish', HTMLButtonElement);
  #testButton = element('test-uplink', HTMLButtonElement);
  #video = element('camera', HTMLVideoElement);
  #note = element('camera-note', HTMLElement);
  #state = element('publish-state', HTMLElement);
  #away = element('publish-away', HTMLElement);
  #meter = new UplinkMeter();
  #devices = new Devices();
  #webSocketUrl;
  #key;
  #changed;
  /** @type {Session | undefined} */
  #session;
  /** @type {import('../client/index.js').Publication | undefined} */
  #publication;
  /** @type {MediaStream | undefined} */
  #camera;
  /** A test of the uplink that runs. @type {AbortController | undefined} */
  #testing;
  /** Ends the screen and the camera of a mixed picture. */
  #stopMixing = () => {};
  /**
   * A stream that can be resumed with the button, until the timer ends. @type {{ left:
   * import('./memory.js').LeftPublication, timer: ReturnType<typeof setTimeout> } | undefined}
   */
  #offer;

  /**
   * @param {string} webSocketUrl
   * @param {() => string | undefined} key the key or token that the user has entered
   * @param {() => void} changed called when the stream's name, its publication or one of its pushes has changed
   */
  constructor(webSocketUrl, key, changed) {
    this.#webSocketUrl = webSocketUrl;
    this.#key = key;
    this.#changed = changed;
    this.#name.addEventListener('input', () => {
      this.#withdrawOffer();
      changed();
    });
    element('publish-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#act();
    });
    this.#testButton.addEventListener('click', () => void this.#test());
    addEventListener('pagehide', () => this.#leave());
    // Back from the browser's cache, with everything still running: there is nothing to resume.
    addEventListener('pageshow', ({ persisted }) => persisted && rememberPublication(undefined));
    // The button is disabled in the HTML: before this listener exists a click would have no effect.
    if (navigator.mediaDevices) this.#button.disabled = this.#testButton.disabled = false;
    else
      this.#note.textContent =
        'No camera: browsers allow it only on pages that come over https or from http://127.0.0.1.';
  }

  get streamName() {
    return this.#name.value.trim();
  }

  /** Whether this page shows its own camera. */
  get hasCamera() {
    return this.#camera !== undefined;
  }

  /**
   * Continues the stream that this page published before it was reloaded: at once if the browser opens the camera
   * without asking, else with the button.
   *
   * @param {number} windowMs how long the gateway holds a stream
   */
  async resume(windowMs) {
    const left = takeLeftPublication(windowMs);
    if (!left || this.#button.disabled || this.#publication) return;
    this.#name.value = left.name;
    this.#resolution.value = left.resolution;
    this.#changed();
    if (await cameraIsAllowed(await this.#devices.kinds())) return this.#act(RESUME_ATTEMPTS);
    say(this.#state, `“${left.name}” was interrupted. Press Resume to continue it and its pushes.`, 'warn');
    const timer = setTimeout(() => this.#withdrawOffer(), left.heldUntil - Date.now());
    this.#offer = { left, timer };
    this.#show();
  }

  /** Stops publishing, within a second; a reload of the page resumes nothing. */
  async end() {
    this.#withdrawOffer();
    const publication = this.#publication;
    this.#publication = undefined;
    await Promise.race([publication?.stop(), new Promise((resolve) => setTimeout(resolve, 1000))]);
  }

  /** @param {import('../client/push-api.js').PublisherAway | undefined} away of the stream with the name in the form */
  showAway(away) {
    say(this.#away, away ? awayText(away) : '', 'warn');
  }

  #withdrawOffer() {
    if (this.#offer === undefined) return;
    clearTimeout(this.#offer.timer);
    this.#offer = undefined;
    say(this.#state, '');
    this.#show();
  }

  #leave() {
    // A screen is chosen anew: the page must not go on with the camera by itself.
    if (this.#publication && this.#source.value !== 'camera') return;
    if (this.#publication)
      rememberPublication({
        name: this.#publication.name,
        resolution: this.#resolution.value,
        leftAt: Date.now(),
      });
    else if (this.#offer) rememberPublication(this.#offer.left);
  }

  /** @param {number} [attempts] to publish */
  async #act(attempts = this.#offer === undefined ? 1 : RESUME_ATTEMPTS) {
    this.#withdrawOffer();
    const done = busy(this.#button, async () => (this.#publication ? this.#publication.stop() : this.#start(attempts)));
    this.#show();
    await done;
    this.#show();
  }

  /** Says how the uplink is for what would be published, before it is. */
  async #test() {
    this.#withdrawOffer();
    const testing = (this.#testing = new AbortController());
    this.#button.disabled = true;
    this.#show();
    await busy(this.#testButton, async () => {
      try {
        const { session, media } = await this.#prepare();
        const tell = (/** @type {string} */ progress) => say(this.#state, progress);
        const stats = await testUplink(session, media, { tell, signal: testing.signal });
        this.#release();
        say(this.#state, 'The uplink was tested; nothing is published.');
        this.#meter.show(stats);
      } catch (error) {
        this.#release();
        say(this.#state, /** @type {Error} */ (error).message, 'bad');
      }
    });
    this.#testing = undefined;
    this.#button.disabled = false;
    this.#show();
  }

  /** Opens what is to be published, and connects. */
  async #prepare() {
    const media = (this.#camera = await this.#open());
    this.#video.srcObject = media;
    this.#note.hidden = true;
    this.#meter.start(media);
    say(this.#state, 'Connecting to the gateway…');
    const session = (this.#session ??= await this.#connect());
    return { session, media };
  }

  /** @param {number} attempts */
  async #start(attempts) {
    try {
      const { session, media } = await this.#prepare();
      const publication = await this.#publish(session, media, attempts);
      publication.on('state', (state, info) => this.#follow(state, info));
      publication.on('transponder', this.#changed);
      this.#publication = publication;
      publication.on('stats', (stats) => this.#meter.show(stats));
      this.#follow('publishing', '');
    } catch (error) {
      this.#release();
      say(this.#state, /** @type {Error} */ (error).message, 'bad');
    }
  }

  /** @returns {Promise<MediaStream>} */
  async #open() {
    const [width = 0, height = 0] = this.#resolution.value.split('x').map(Number);
    const size = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30 } };
    if (this.#source.value === 'camera') return this.#openCamera(size);
    say(this.#state, 'Choose what to share…');
    const screen = await openScreen(size);
    // The browser has a button of its own that ends sharing.
    screen.getVideoTracks()[0]?.addEventListener('ended', () => {
      this.#testing?.abort();
      void this.#publication?.stop();
    });
    /** @type {MediaStream | undefined} */
    let camera;
    try {
      if (this.#source.value === 'screen') {
        await addMicrophone(screen, this.#devices.chosen('audioinput'));
        return screen;
      }
      if (!(await this.#devices.kinds()).has('videoinput'))
        throw new Error('There is no camera. Connect one, or choose Screen.');
      camera = await this.#openCamera({});
      const mixed = await pictureInPicture(screen, camera, { width, height });
      this.#stopMixing = mixed.stop;
      return mixed.stream;
    } catch (error) {
      for (const track of [...screen.getTracks(), ...(camera?.getTracks() ?? [])]) track.stop();
      throw error;
    }
  }

  /** @param {MediaTrackConstraints} size */
  async #openCamera(size) {
    say(this.#state, 'Opening the camera…');
    // A request for both fails as a whole if one of them is missing.
    const kinds = await this.#devices.kinds();
    const [audio, video] = [kinds.has('audioinput'), kinds.has('videoinput')];
    const stream = await openCamera({
      audio: (audio || !video) && this.#devices.chosen('audioinput'),
      video: (video || !audio) && { ...size, ...this.#devices.chosen('videoinput') },
    });
    void this.#devices.refresh();
    return stream;
  }

  /**
   * @param {Session} session
   * @param {MediaStream} stream
   * @param {number} attempts
   * @returns {Promise<import('../client/index.js').Publication>}
   */
  async #publish(session, stream, attempts) {
    for (;;) {
      try {
        return await session.publish({ name: this.streamName, stream });
      } catch (error) {
        if (--attempts <= 0) throw error;
        await new Promise((resolve) => setTimeout(resolve, RESUME_INTERVAL));
      }
    }
  }

  async #connect() {
    const session = await Session.connect(this.#webSocketUrl, {
      authToken: sessionStorage.getItem(STORAGE_KEY) ?? undefined,
      token: this.#key,
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
    if (state === 'publishing') say(this.#state, `Publishing “${this.#publication?.name}”${this.#missing()}.`, 'good');
    else if (state === 'resuming') say(this.#state, `${info.replace(/\.$/, '')}. Trying to publish again…`, 'warn');
    else {
      this.#publication = undefined;
      this.#release();
      const asked = info === 'Stopped by user';
      say(this.#state, asked ? 'Stopped.' : `Stopped: ${info}`, asked ? '' : 'bad');
    }
    this.#show();
    this.#changed();
  }

  #missing() {
    if (this.#camera?.getAudioTracks().length === 0) return ' without audio: the microphone is missing, or not allowed';
    return this.#camera?.getVideoTracks().length === 0 ? ' without video: there is no camera' : '';
  }

  #release() {
    this.#meter.stop();
    for (const track of this.#camera?.getTracks() ?? []) track.stop();
    this.#stopMixing();
    this.#stopMixing = () => {};
    this.#camera = undefined;
    this.#video.srcObject = null;
    this.#note.hidden = false;
  }

  #show() {
    const live = this.#publication !== undefined;
    this.#button.textContent = live ? 'Stop' : this.#offer === undefined ? 'Publish' : 'Resume';
    this.#button.classList.toggle('primary', !live);
    this.#button.classList.toggle('danger', live);
    this.#name.disabled = this.#source.disabled = this.#resolution.disabled = live || this.#button.disabled;
    this.#testButton.hidden = live;
    this.#devices.lock(live || this.#button.disabled);
  }
}

/** Whether the browser opens the camera and the microphone without asking the user. @param {Set<string>} kinds that there are */
async function cameraIsAllowed(kinds) {
  const names = [...(kinds.has('videoinput') ? ['camera'] : []), ...(kinds.has('audioinput') ? ['microphone'] : [])];
  try {
    const permissions = await Promise.all(
      names.map((name) => navigator.permissions.query({ name: /** @type {PermissionName} */ (name) })),
    );
    return permissions.length > 0 && permissions.every(({ state }) => state === 'granted');
  } catch {
    // Some browsers do not know these permissions, and ask each time.
    return false;
  }
}
