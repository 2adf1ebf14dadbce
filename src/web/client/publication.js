import { openCamera } from './camera.js';
import { Emitter } from './emitter.js';
import { Negotiation } from './negotiation.js';

/** Milliseconds between two attempts to publish again after an interruption. */
const RESUME_INTERVAL = 1000;
/** The gateway holds a lost stream for 15 s by default; some more, because it may notice the loss later than the page. */
const RESUME_ATTEMPTS = 20;

/**
 * @typedef {object} PublishOptions
 * @property {string} name of the stream
 * @property {MediaStream} [stream] what to publish; without it the camera and the microphone are opened
 * @property {MediaStreamConstraints} [constraints] for the camera and the microphone
 * @property {string} [rtmpUrl] also starts a push to this RTMP server
 *
 * @typedef {object} TransponderEvent the state of one push of this stream
 * @property {string} mediaSessionId the transponder's
 * @property {string} rtmpUrl without secrets
 * @property {import('../../outputs/push/transponder-view.ts').TransponderStatus} status
 * @property {string} reason why it retries or has ended; empty while all is well
 *
 * @typedef {'publishing' | 'resuming' | 'ended'} PublicationState
 *
 * @typedef {object} PublicationEvents
 * @property {[state: PublicationState, info: string]} state `info`: why it resumes or has ended
 * @property {[event: TransponderEvent]} transponder a push of this stream has changed its state
 */

/**
 * A stream that this page publishes. After an interruption it is published again under its name, and the gateway goes on
 * with its pushes.
 *
 * @extends {Emitter<PublicationEvents>}
 */
export class Publication extends Emitter {
  /** @type {PublicationState} */
  #state = 'publishing';
  #session;
  #options;
  #ownsStream;
  /** @type {Negotiation} */
  #negotiation;
  /** The one by which the gateway receives, or last received, the stream. @type {Negotiation} */
  #received;
  /** Of the latest negotiation: the page may have put another track into one of them, or none. @type {RTCRtpTransceiver[]} */
  #transceivers = [];
  #forget;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #attempt = 0;

  /**
   * @param {import('./session.js').Session} session
   * @param {PublishOptions} options
   * @throws {import('./errors.js').ClientError}
   */
  static async start(session, options) {
    const stream = options.stream ?? (await openCamera(options.constraints));
    const publication = new Publication(session, { ...options, stream }, !options.stream);
    try {
      await publication.#publish();
    } catch (error) {
      publication.#forget();
      publication.#release();
      throw error;
    }
    return publication;
  }

  /** For {@link start} alone.
   * @param {import('./session.js').Session} session
   * @param {PublishOptions & { stream: MediaStream }} options
   * @param {boolean} ownsStream
   */
  constructor(session, options, ownsStream) {
    super();
    this.#session = session;
    this.#options = options;
    this.#ownsStream = ownsStream;
    this.#negotiation = this.#received = this.#negotiate();
    this.#forget = session.on('closing', () => this.#askToStop());
  }

  get name() {
    return this.#options.name;
  }

  /** What is published; show it in a muted video element. */
  get stream() {
    return this.#options.stream;
  }

  get state() {
    return this.#state;
  }

  /** Of the present negotiation, for statistics. */
  get connection() {
    return this.#negotiation.connection;
  }

  /** Stops publishing; the pushes of this stream end. A camera that was opened here is switched off. Idempotent. */
  async stop() {
    if (this.#state === 'ended') return;
    const resuming = this.#state === 'resuming';
    clearTimeout(this.#timer);
    this.#state = 'ended';
    this.#forget();
    if (resuming) this.#stopWhatIsHeld();
    else await this.#negotiation.stop();
    this.#release();
    this.emit('state', 'ended', 'Stopped by user');
  }

  #askToStop() {
    // The one that may be under way first, lest it takes the stream over.
    for (const negotiation of new Set([this.#negotiation, this.#received])) negotiation.askToStop();
  }

  /** The gateway goes on with the stream and its pushes until it is told, which may have to wait for a connection. */
  #stopWhatIsHeld() {
    this.#negotiation.close();
    if (this.#session.state === 'established') return this.#askToStop();
    const forget = this.#session.on('state', (state) => {
      if (state === 'established') this.#askToStop();
      if (state === 'established' || state === 'closed') forget();
    });
  }

  #negotiate() {
    const { name, stream, rtmpUrl } = this.#options;
    const first = [...stream.getAudioTracks().slice(0, 1), ...stream.getVideoTracks().slice(0, 1)];
    const tracks =
      this.#transceivers.length > 0
        ? this.#transceivers.map(({ sender, receiver }) => sender.track ?? receiver.track.kind)
        : first;
    return new Negotiation(this.#session, {
      name,
      published: true,
      hasAudio: stream.getAudioTracks().length > 0,
      hasVideo: stream.getVideoTracks().length > 0,
      addTracks: (connection) => {
        this.#transceivers = tracks.map((track) =>
          connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] }),
        );
      },
      fields: rtmpUrl ? { rtmpUrl } : {},
      ended: (status, info) => this.#lost(status, info),
      event: (message, data) => this.#event(message, data),
    });
  }

  async #publish() {
    const negotiation = this.#negotiation;
    await negotiation.start({
      receive: (message, data) => negotiation.receive(message, data),
      connectionLost: () => negotiation.connectionLost(),
    });
  }

  /**
   * @param {string} message
   * @param {readonly unknown[]} data
   */
  #event(message, data) {
    const event = /** @type {{ type?: string, payload?: TransponderEvent }} */ (data[0]);
    if (message === 'notifyStreamEvent' && event.type === 'transponder' && event.payload)
      this.emit('transponder', event.payload);
  }

  /**
   * @param {string} status
   * @param {string} info
   */
  #lost(status, info) {
    if (this.#state === 'ended') return;
    // UNPUBLISHED is somebody's wish, and to publish again would go against it.
    if (status !== 'FAILED' || this.#session.state === 'closed') return this.#end(info);
    this.#state = 'resuming';
    this.#attempt = 0;
    this.emit('state', 'resuming', info);
    this.#resumeLater();
  }

  #resumeLater() {
    this.#timer = setTimeout(() => this.#resume(), RESUME_INTERVAL);
  }

  async #resume() {
    if (this.#session.state === 'closed') return this.#end('The session was closed');
    // As long as there is no connection, its own attempts are the ones that count.
    if (this.#session.state !== 'established') return this.#resumeLater();
    this.#negotiation = this.#negotiate();
    try {
      await this.#publish();
    } catch (error) {
      if (this.#state !== 'resuming') return;
      if (++this.#attempt >= RESUME_ATTEMPTS) return this.#end(/** @type {Error} */ (error).message);
      return this.#resumeLater();
    }
    if (this.#state !== 'resuming') return;
    this.#received = this.#negotiation;
    this.#state = 'publishing';
    this.emit('state', 'publishing', '');
  }

  /** @param {string} info */
  #end(info) {
    this.#forget();
    this.#state = 'ended';
    this.#release();
    this.emit('state', 'ended', info);
  }

  #release() {
    if (this.#ownsStream) for (const track of this.#options.stream.getTracks()) track.stop();
  }
}
