import { Emitter } from './emitter.js';
import { ClientError } from './errors.js';
import { Playback } from './playback.js';
import { Publication } from './publication.js';
import { randomId } from './random.js';

/** Milliseconds from opening the WebSocket to being established. */
const CONNECT_TIMEOUT = 10_000;
/** Milliseconds before the first attempt to connect again; doubled from attempt to attempt up to the cap. */
const RECONNECT_DELAY = 500;
const RECONNECT_DELAY_CAP = 8000;

/**
 * @typedef {'connecting' | 'established' | 'reconnecting' | 'closed'} SessionState
 *
 * @typedef {object} SessionOptions
 * @property {string} [authToken] that of an earlier session, whose streams this one may continue; a random one by default
 * @property {boolean} [reconnect] connect again, and publish again, after the connection was lost; true by default
 *
 * @typedef {object} SessionEvents
 * @property {[state: SessionState]} state the session has entered this state
 * @property {[data: unknown]} data application data from the gateway
 * @property {[]} closing the session is being closed; what is sent now still reaches the gateway
 *
 * @typedef {{ message: string, data: readonly unknown[] }} Frame both ways, as the WCS protocol has it
 *
 * @typedef {object} StreamChannel what a session needs to know of a stream that uses it
 * @property {() => void} connectionLost the WebSocket is gone
 * @property {(message: string, data: readonly unknown[]) => void} receive a message for this stream
 */

/**
 * One WebSocket to the gateway, in the protocol of Flashphoner's Web SDK, and the streams that use it.
 *
 * @extends {Emitter<SessionEvents>}
 */
export class Session extends Emitter {
  /** @type {SessionState} */
  #state = 'connecting';
  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {Map<string, StreamChannel>} by the id of their present negotiation */
  #streams = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #attempt = 0;
  #url;
  #reconnect;
  #authToken;

  /**
   * @param {string} url of the gateway's WebSocket, such as `ws://127.0.0.1:8080`
   * @param {SessionOptions} [options]
   * @returns {Promise<Session>} when the gateway has accepted the session
   * @throws {ClientError} DISCONNECTED when it cannot be reached
   */
  static async connect(url, options = {}) {
    const session = new Session(url, options);
    await session.#open();
    return session;
  }

  /** For {@link connect} alone.
   * @param {string} url
   * @param {SessionOptions} options
   */
  constructor(url, options) {
    super();
    this.#url = url;
    this.#reconnect = options.reconnect ?? true;
    this.#authToken = options.authToken ?? randomId();
  }

  get state() {
    return this.#state;
  }

  /** A secret: whoever brings it may continue the streams of this session after a loss. */
  get authToken() {
    return this.#authToken;
  }

  /**
   * Publishes a camera, or any other stream, under a name.
   *
   * @param {import('./publication.js').PublishOptions} options
   * @returns {Promise<Publication>} when the gateway receives it
   * @throws {ClientError}
   */
  publish(options) {
    return Publication.start(this, options);
  }

  /**
   * Plays a stream that somebody publishes at this gateway.
   *
   * @param {import('./playback.js').PlayOptions} options
   * @returns {Promise<Playback>} when it plays
   * @throws {ClientError}
   */
  play(options) {
    return Playback.start(this, options);
  }

  /**
   * Ends the session and, at the gateway, every stream that it published; while there is no connection the gateway learns of it only by
   * their silence. Idempotent.
   */
  close() {
    if (this.#state === 'closed') return;
    clearTimeout(this.#timer);
    this.emit('closing');
    this.#enter('closed');
    this.#socket?.close();
    for (const stream of [...this.#streams.values()]) stream.connectionLost();
  }

  /**
   * For streams: receives what the gateway says of this id.
   *
   * @param {string} id
   * @param {StreamChannel} stream
   */
  register(id, stream) {
    this.#streams.set(id, stream);
  }

  /** @param {string} id */
  unregister(id) {
    this.#streams.delete(id);
  }

  /**
   * For streams: sends one message; lost when the connection is.
   *
   * @param {string} message
   * @param {unknown} data
   */
  send(message, data) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ message, data: [data] }));
  }

  /** @param {SessionState} state */
  #enter(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('state', state);
  }

  /** @returns {Promise<void>} */
  #open() {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(this.#url);
      this.#socket = socket;
      let established = false;
      const timer = setTimeout(() => socket.close(), CONNECT_TIMEOUT);
      socket.onopen = () =>
        this.send('connection', {
          appKey: 'defaultApp',
          mediaProviders: ['WebRTC'],
          clientVersion: '2.0',
          clientOSVersion: navigator.platform,
          clientBrowserVersion: navigator.userAgent,
          msePacketizationVersion: 2,
          authToken: this.#authToken,
        });
      socket.onmessage = ({ data: text }) => {
        const frame = parse(text);
        if (!frame) return;
        if (frame.message === 'getUserData') {
          established = true;
          clearTimeout(timer);
          this.#attempt = 0;
          this.#enter('established');
          resolve();
        } else this.#receive(frame);
      };
      socket.onclose = () => {
        clearTimeout(timer);
        if (established) this.#lost();
        else reject(new ClientError('DISCONNECTED', `The gateway does not answer at ${this.#url}. Is it running?`));
      };
    });
  }

  #lost() {
    if (this.#state === 'closed') return;
    for (const stream of [...this.#streams.values()]) stream.connectionLost();
    if (!this.#reconnect) return this.#enter('closed');
    this.#enter('reconnecting');
    this.#openLater();
  }

  #openLater() {
    const delay = Math.min(RECONNECT_DELAY * 2 ** this.#attempt++, RECONNECT_DELAY_CAP);
    // Pages that lost the same gateway must not all come back in the same instant.
    this.#timer = setTimeout(
      async () => {
        try {
          await this.#open();
        } catch {
          if (this.state !== 'closed') this.#openLater();
        }
      },
      delay * (0.5 + Math.random() / 2),
    );
  }

  /** @param {Frame} frame */
  #receive({ message, data }) {
    if (message === 'ping') return this.send('pong', null);
    if (message === 'OnDataEvent') return this.emit('data', data[0]);
    const first = /** @type {string | { mediaSessionId?: string, id?: string } | null | undefined} */ (data[0]);
    const id = typeof first === 'string' ? first : (first?.mediaSessionId ?? first?.id);
    if (id !== undefined) this.#streams.get(id)?.receive(message, data);
  }
}

/**
 * @param {unknown} text
 * @returns {Frame | undefined} undefined for what is not of this protocol
 */
function parse(text) {
  try {
    const frame = JSON.parse(String(text));
    return typeof frame?.message === 'string' && Array.isArray(frame.data) ? frame : undefined;
  } catch {
    return undefined;
  }
}
