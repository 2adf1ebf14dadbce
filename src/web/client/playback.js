import { Emitter } from './emitter.js';
import { failure } from './errors.js';
import { Negotiation } from './negotiation.js';

/**
 * @typedef {object} PlayOptions
 * @property {string} name of the stream
 * @property {boolean} [hasAudio] true by default
 * @property {boolean} [hasVideo] true by default
 *
 * @typedef {object} PlaybackEvents
 * @property {[info: string, error: import('./errors.js').ClientError]} ended the stream has ended, or the connection was lost
 */

/**
 * A stream of the gateway that this page plays.
 *
 * @extends {Emitter<PlaybackEvents>}
 */
export class Playback extends Emitter {
  /** The received media, for the `srcObject` of a video element. */
  stream = new MediaStream();
  #negotiation;
  #stopped = false;

  /**
   * For `Session`.
   *
   * @internal
   * @param {import('./session.js').Session} session
   * @param {PlayOptions} options
   */
  static async start(session, options) {
    const playback = new Playback(session, options);
    const negotiation = playback.#negotiation;
    await negotiation.start({
      receive: (message, data) => negotiation.receive(message, data),
      connectionLost: () => negotiation.connectionLost(),
    });
    return playback;
  }

  /** Used by `start()` only.
   * @param {import('./session.js').Session} session
   * @param {PlayOptions} options
   */
  constructor(session, { name, hasAudio = true, hasVideo = true }) {
    super();
    this.#negotiation = new Negotiation(session, {
      name,
      published: false,
      hasAudio,
      hasVideo,
      addTracks: (connection) => {
        connection.ontrack = ({ track }) => this.stream.addTrack(track);
        if (hasAudio) connection.addTransceiver('audio', { direction: 'recvonly' });
        if (hasVideo) connection.addTransceiver('video', { direction: 'recvonly' });
      },
      fields: { width: 0, height: 0, quality: 0 },
      ended: (_status, error) => {
        if (!this.#stopped) this.emit('ended', error.message, error);
      },
    });
  }

  get connection() {
    return this.#negotiation.connection;
  }

  /**
   * Shows the stream in a video element and plays it.
   *
   * @param {HTMLVideoElement} video
   * @throws {import('./errors.js').ClientError} AUTOPLAY_REFUSED: browsers play audio only after the user has touched the
   * page. Call it again after a click, or with a muted element.
   */
  async show(video) {
    video.playsInline = true;
    if (video.srcObject !== this.stream) video.srcObject = this.stream;
    try {
      await video.play();
    } catch (error) {
      const { name, message } = /** @type {Error} */ (error);
      // Another call has taken its place.
      if (name === 'AbortError') return;
      if (name === 'NotAllowedError')
        throw failure('AUTOPLAY_REFUSED', 'The browser does not play audio before a click on the page.', error);
      throw failure('UNSUPPORTED_CODEC', `The browser cannot play the stream: ${message}.`, error);
    }
  }

  /** Idempotent. */
  async stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.#negotiation.stop();
  }
}
