import { openCamera } from './camera.js';
import { Emitter } from './emitter.js';
import { ClientError } from './errors.js';
import { Negotiation } from './negotiation.js';

/** Milliseconds between two attempts to publish again after an interruption. */
const RESUME_INTERVAL = 1000;
/**
 * The gateway holds a lost stream for 15 s by default. It may notice the loss later than the page, so there are some
 * more attempts.
 */
const RESUME_ATTEMPTS = 20;

/**
 * @typedef {object} PublishOptions
 * @property {string} name of the stream
 * @property {MediaStream} [stream] the media to publish; by default the camera and the microphone are opened
 * @property {MediaStreamConstraints} [constraints] for the camera and the microphone
 * @property {string} [rtmpUrl] also starts a push to this RTMP server
 * @property {string} [room] path of a room whose members are told about the stream
 *
 * @typedef {import('./wire.js').TransponderEvent} TransponderEvent
 *
 * @typedef {'publishing' | 'resuming' | 'ended'} PublicationState
 *
 * @typedef {object} PublicationEvents
 * @property {[state: PublicationState, info: string, error?: ClientError]} state `info` and `error`: why it resumes or has
 * ended; no error if the page has stopped it
 * @property {[event: TransponderEvent]} transponder the state of a push of this stream has changed
 */

/**
 * A stream that this page publishes. After an interruption it is published again under its name, and the gateway
 * continues its pushes.
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
  /** The latest negotiation with which the gateway received the stream. @type {Negotiation} */
  #received;
  /** Of the latest negotiation. The page may have replaced or removed their tracks. @type {RTCRtpTransceiver[]} */
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

  /** Used by {@link start} only.
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

  /** The published media. Show it in a muted video element. */
  get stream() {
    return this.#options.stream;
  }

  get state() {
    return this.#state;
  }

  /** The current peer connection, for statistics. */
  get connection() {
    return this.#negotiation.connection;
  }

  /**
   * Stops publishing and the pushes of this stream. A camera that was opened by {@link start} is switched off.
   * Idempotent.
   */
  async stop() {
    if (this.#state === 'ended') return;
    const resuming = this.#state === 'resuming';
    clearTimeout(this.#timer);
    this.#state = 'ended';
    this.#forget();
    if (resuming) this.#stopHeldStream();
    else await this.#negotiation.stop();
    this.#release();
    this.emit('state', 'ended', 'Stopped by user');
  }

  #askToStop() {
    // The pending negotiation first: it must not take over the stream.
    for (const negotiation of new Set([this.#negotiation, this.#received])) negotiation.askToStop();
  }

  /**
   * The gateway continues the held stream and its pushes until it is asked to stop. This may have to wait for a
   * connection.
   */
  #stopHeldStream() {
    this.#negotiation.close();
    if (this.#session.state === 'established') return this.#askToStop();
    const forget = this.#session.on('state', (state) => {
      if (state === 'established') this.#askToStop();
      if (state === 'established' || state === 'closed') forget();
    });
  }

  #negotiate() {
    const { name, stream, rtmpUrl, room } = this.#options;
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
      fields: { ...(rtmpUrl && { rtmpUrl }), ...(room && { custom: { name: room } }) },
      ended: (status, error) => this.#lost(status, error),
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
   * @param {ClientError} error
   */
  #lost(status, error) {
    if (this.#state === 'ended') return;
    // UNPUBLISHED means that a user has stopped the stream. It is not published again.
    if (status !== 'FAILED' || this.#session.state === 'closed') return this.#end(error);
    this.#state = 'resuming';
    this.#attempt = 0;
    this.emit('state', 'resuming', error.message, error);
    this.#resumeLater();
  }

  #resumeLater() {
    this.#timer = setTimeout(() => this.#resume(), RESUME_INTERVAL);
  }

  async #resume() {
    if (this.#session.state === 'closed') return this.#end(new ClientError('DISCONNECTED', 'The session was closed'));
    // Without a connection no attempt is counted: the session tries to connect.
    if (this.#session.state !== 'established') return this.#resumeLater();
    this.#negotiation = this.#negotiate();
    try {
      await this.#publish();
    } catch (error) {
      if (this.#state !== 'resuming') return;
      if (++this.#attempt >= RESUME_ATTEMPTS) return this.#end(/** @type {ClientError} */ (error));
      return this.#resumeLater();
    }
    if (this.#state !== 'resuming') return;
    this.#received = this.#negotiation;
    this.#state = 'publishing';
    this.emit('state', 'publishing', '');
  }

  /** @param {ClientError} error */
  #end(error) {
    this.#forget();
    this.#state = 'ended';
    this.#release();
    this.emit('state', 'ended', error.message, error);
  }

  #release() {
    if (this.#ownsStream) for (const track of this.#options.stream.getTracks()) track.stop();
  }
}
