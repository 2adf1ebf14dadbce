import { Emitter } from './emitter.js';
import { ClientError, refusal, toClientError } from './errors.js';
import { Playback } from './playback.js';
import { Publication } from './publication.js';
import { randomId } from './random.js';
import { Room } from './room.js';

/** Milliseconds from opening the WebSocket until the session is established. */
const CONNECT_TIMEOUT = 10_000;
/** Milliseconds before the first attempt to reconnect, doubled with each attempt up to the cap. */
const RECONNECT_DELAY = 500;
const RECONNECT_DELAY_CAP = 8000;

/**
 * @typedef {'connecting' | 'established' | 'reconnecting' | 'closed'} SessionState
 *
 * @typedef {object} SessionOptions
 * @property {string} [authToken] the token of an earlier session, whose streams this one may continue; random by default
 * @property {string | (() => string | undefined | Promise<string | undefined>)} [token] a key or a token of the gateway; a
 * function is called for each connection, so that it may return a renewed one
 * @property {boolean} [reconnect] reconnect and publish again after the connection was lost; true by default
 *
 * @typedef {object} SessionEvents
 * @property {[state: SessionState]} state the session has entered this state
 * @property {[data: unknown]} data application data from the gateway
 * @property {[message: string, content: any]} room for rooms: an answer or an event of one
 * @property {[]} closing the session is being closed; messages that are sent now still reach the gateway
 *
 * @typedef {{ message: string, data: readonly unknown[] }} Frame a message of the WCS protocol, in both directions
 *
 * @typedef {object} StreamChannel the interface of a stream to its session
 * @property {() => void} connectionLost the WebSocket was lost
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
  /** @type {Map<string, StreamChannel>} by the id of their current negotiation */
  #streams = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #attempt = 0;
  #url;
  #reconnect;
  #authToken;
  #token;

  /**
   * @param {string} url of the gateway's WebSocket, such as `ws://127.0.0.1:8080`
   * @param {SessionOptions} [options]
   * @returns {Promise<Session>} when the gateway has accepted the session
   * @throws {ClientError} DISCONNECTED when it cannot be reached, TOKEN_EXPIRED or CONNECTION_REFUSED when it does not
   * accept the token
   */
  static async connect(url, options = {}) {
    const session = new Session(url, options);
    await session.#open();
    return session;
  }

  /** Used by {@link connect} only.
   * @param {string} url
   * @param {SessionOptions} options
   */
  constructor(url, options) {
    super();
    this.#url = url;
    this.#reconnect = options.reconnect ?? true;
    this.#authToken = options.authToken ?? randomId();
    this.#token = options.token;
  }

  get state() {
    return this.#state;
  }

  /** A secret: a client with this token may continue the streams of this session after an interruption. */
  get authToken() {
    return this.#authToken;
  }

  /**
   * Publishes a camera, or any other `MediaStream`, under a name.
   *
   * @param {import('./publication.js').PublishOptions} options
   * @returns {Promise<Publication>} when the gateway receives it
   * @throws {ClientError}
   */
  publish(options) {
    return Publication.start(this, options);
  }

  /**
   * Plays a stream that is published at this gateway.
   *
   * @param {import('./playback.js').PlayOptions} options
   * @returns {Promise<Playback>} when it plays
   * @throws {ClientError}
   */
  play(options) {
    return Playback.start(this, options);
  }

  /**
   * Joins a room, which the gateway creates on demand.
   *
   * @param {string} path of the room, such as `live/room1`
   * @param {{ name?: string }} [options] `name`: by which others know this client; unique in the room, random by default
   * @returns {Promise<Room>}
   * @throws {import('./room.js').RoomError}
   */
  room(path, options) {
    return Room.join(this, path, options);
  }

  /**
   * Ends the session and the streams that it has published. Without a connection the gateway notices only that they are
   * lost. Idempotent.
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
   * For streams: registers for messages with this id.
   *
   * @internal
   * @param {string} id
   * @param {StreamChannel} stream
   */
  register(id, stream) {
    this.#streams.set(id, stream);
  }

  /**
   * For streams: their token has expired. Connects again with a new one, if the page has given a function that returns it.
   *
   * @returns {boolean} whether it has
   */
  renew() {
    if (typeof this.#token !== 'function' || !this.#reconnect) return false;
    this.#socket?.close();
    return true;
  }

  /**
   * @internal
   * @param {string} id
   */
  unregister(id) {
    this.#streams.delete(id);
  }

  /**
   * For streams: sends one message. It is dropped if there is no connection.
   *
   * @internal
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
      const socket = this.#newSocket();
      this.#socket = socket;
      let established = false;
      /** @type {ClientError | undefined} */
      let refused;
      const timer = setTimeout(() => socket.close(), CONNECT_TIMEOUT);
      socket.onopen = async () => {
        let token;
        try {
          token = typeof this.#token === 'function' ? await this.#token() : this.#token;
        } catch (error) {
          refused = toClientError(error, 'CONNECTION_REFUSED');
          return socket.close();
        }
        this.send('connection', {
          appKey: 'defaultApp',
          mediaProviders: ['WebRTC'],
          clientVersion: '2.0',
          clientOSVersion: navigator.platform,
          clientBrowserVersion: navigator.userAgent,
          msePacketizationVersion: 2,
          authToken: this.#authToken,
          ...(token && { custom: { token } }),
        });
      };
      socket.onmessage = ({ data: text }) => {
        const frame = parse(text);
        if (!frame) return;
        if (frame.message === 'getUserData') {
          established = true;
          clearTimeout(timer);
          this.#attempt = 0;
          this.#enter('established');
          resolve();
        } else if (frame.message === 'fail' && !established) {
          const { info = 'The connection was refused.', code } = /** @type {{ info?: string, code?: string }} */ (
            frame.data[0] ?? {}
          );
          refused = refusal('CONNECTION_REFUSED', info, code);
        } else this.#receive(frame);
      };
      socket.onclose = () => {
        clearTimeout(timer);
        if (established) this.#lost();
        else if (refused) reject(refused);
        else reject(new ClientError('DISCONNECTED', `The gateway does not answer at ${this.#url}. Is it running?`));
      };
    });
  }

  /** @throws {ClientError} for a URL that is not valid, and for `ws:` on a page from `https` */
  #newSocket() {
    try {
      return new WebSocket(this.#url);
    } catch (error) {
      throw toClientError(error, 'DISCONNECTED');
    }
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
    // Random, so that not all pages reconnect to a restarted gateway at the same moment.
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
    if (message === 'roomReply' || message === 'roomEvent') return this.emit('room', message, data[0]);
    if (message === 'OnDataEvent') return this.emit('data', data[0]);
    const first = /** @type {string | { mediaSessionId?: string, id?: string } | null | undefined} */ (data[0]);
    const id = typeof first === 'string' ? first : (first?.mediaSessionId ?? first?.id);
    if (id !== undefined) this.#streams.get(id)?.receive(message, data);
  }
}

/**
 * @param {unknown} text
 * @returns {Frame | undefined} undefined if it is not a message of this protocol
 */
function parse(text) {
  try {
    const frame = JSON.parse(String(text));
    return typeof frame?.message === 'string' && Array.isArray(frame.data) ? frame : undefined;
  } catch {
    return undefined;
  }
}
