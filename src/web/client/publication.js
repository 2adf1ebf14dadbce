import { openCamera } from './camera.js';
import { Emitter } from './emitter.js';
import { ClientError } from './errors.js';
import { Negotiation } from './negotiation.js';
import { StatsReader } from './stats.js';
import { PublishedTracks } from './tracks.js';

/** Milliseconds between two attempts to publish again after an interruption. */
const RESUME_INTERVAL = 1000;
/**
 * The gateway holds a lost stream for 15 s by default. It may notice the loss later than the page, so there are some
 * more attempts.
 */
const RESUME_ATTEMPTS = 20;
const STATS_INTERVAL = 1000;

/**
 * @typedef {object} StreamOptions
 * @property {string} name of the stream
 * @property {MediaStream} [stream] the media to publish; by default the camera and the microphone are opened
 * @property {string} [rtmpUrl] also starts a push to this RTMP server
 * @property {string} [room] path of a room whose members are told about the stream
 * @property {boolean} [record] the gateway records the stream
 *
 * @typedef {StreamOptions & import('./tracks.js').TrackOptions} PublishOptions
 *
 * @typedef {import('./wire.js').TransponderEvent} TransponderEvent
 *
 * @typedef {'publishing' | 'resuming' | 'ended'} PublicationState
 *
 * @typedef {object} PublicationEvents
 * @property {[state: PublicationState, info: string, error?: ClientError]} state `info` and `error`: why it resumes or has
 * ended; no error if the page has stopped it
 * @property {[event: TransponderEvent]} transponder the state of a push of this stream has changed
 * @property {[stats: import('./stats.js').PublicationStats]} stats what was sent, each second
 * @property {[kind: import('./tracks.js').Kind, error?: ClientError]} device a device was lost; without an error:
 * another one has taken its place
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
  #tracks;
  /** @type {Negotiation} */
  #negotiation;
  /** The latest negotiation with which the gateway received the stream. @type {Negotiation} */
  #received;
  #forget;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #attempt = 0;
  #stats = new StatsReader();
  #statsTimer;

  /**
   * For `Session`.
   *
   * @internal
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
      publication.#finish();
      throw error;
    }
    return publication;
  }

  /** Used by `start()` only.
   * @param {import('./session.js').Session} session
   * @param {PublishOptions & { stream: MediaStream }} options
   * @param {boolean} ownsStream
   */
  constructor(session, options, ownsStream) {
    super();
    this.#session = session;
    this.#options = options;
    this.#tracks = new PublishedTracks(options.stream, options, ownsStream, (kind, error) =>
      this.emit('device', kind, ...(error ? [error] : [])),
    );
    try {
      this.#negotiation = this.#received = this.#negotiate();
    } catch (error) {
      this.#tracks.release();
      throw error;
    }
    this.#forget = session.on('closing', () => this.#askToStop());
    this.#statsTimer = setInterval(() => this.#tellStats(), STATS_INTERVAL);
  }

  get name() {
    return this.#options.name;
  }

  /** The published media. Show it in a muted video element. */
  get stream() {
    return this.#tracks.stream;
  }

  get state() {
    return this.#state;
  }

  /** The current peer connection, for statistics. */
  get connection() {
    return this.#negotiation.connection;
  }

  /**
   * Sends this track instead of the one of its kind. The library stops the previous one only if it has opened it.
   *
   * @param {MediaStreamTrack} track
   * @throws {ClientError}
   */
  replaceTrack(track) {
    return this.#tracks.replace(track);
  }

  /**
   * Takes another camera.
   *
   * @param {MediaTrackConstraints} [constraints] by default the camera on the other side of a phone
   * @throws {ClientError}
   */
  switchCamera(constraints) {
    return this.#tracks.switchCamera(constraints);
  }

  /**
   * Sends the screen instead of the camera, until {@link stopScreen} or until the user ends it in the browser.
   *
   * @param {DisplayMediaStreamOptions} [options]
   * @throws {ClientError}
   */
  shareScreen(options) {
    return this.#tracks.shareScreen(options);
  }

  /** Sends the camera again. @throws {ClientError} */
  stopScreen() {
    return this.#tracks.stopScreen();
  }

  /**
   * Sends silence or black frames.
   *
   * @param {import('./tracks.js').Kind} kind
   * @param {{ release?: boolean }} [options] `release`: sends nothing, and stops the device, whose light goes out
   * @throws {ClientError}
   */
  mute(kind, options) {
    return this.#tracks.mute(kind, options);
  }

  /** @param {import('./tracks.js').Kind} kind @throws {ClientError} if the device cannot be opened again */
  unmute(kind) {
    return this.#tracks.unmute(kind);
  }

  /**
   * Stops publishing and the pushes of this stream. A camera that was opened by `Session.publish()` is switched off.
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
    this.#finish();
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
    const { name, rtmpUrl, room, record } = this.#options;
    return new Negotiation(this.#session, {
      name,
      published: true,
      hasAudio: this.#tracks.has('audio'),
      hasVideo: this.#tracks.has('video'),
      addTracks: (connection) => this.#tracks.addTo(connection),
      fields: { ...(rtmpUrl && { rtmpUrl }), ...(room && { custom: { name: room } }), ...(record && { record }) },
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
    if (this.#isOver(error)) return this.#end(error);
    this.#state = 'resuming';
    this.#attempt = 0;
    this.emit('state', 'resuming', error.message, error);
    this.#resumeLater();
  }

  /** Whether the token has expired and there is no other one. @param {ClientError} error */
  #isOver(error) {
    return error.code === 'TOKEN_EXPIRED' && !this.#session.renew();
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
    } catch (thrown) {
      if (this.#state !== 'resuming') return;
      const error = /** @type {ClientError} */ (thrown);
      if (this.#isOver(error) || ++this.#attempt >= RESUME_ATTEMPTS) return this.#end(error);
      return this.#resumeLater();
    }
    if (this.#state !== 'resuming') return;
    this.#received = this.#negotiation;
    this.#state = 'publishing';
    this.emit('state', 'publishing', '');
  }

  async #tellStats() {
    if (this.#state !== 'publishing' || !this.has('stats')) return;
    const reports = await this.connection.getStats();
    const stats = this.#stats.read(reports.values(), performance.now());
    if (stats && this.#state === 'publishing') this.emit('stats', stats);
  }

  /** @param {ClientError} error */
  #end(error) {
    this.#state = 'ended';
    this.#finish();
    this.emit('state', 'ended', error.message, error);
  }

  #finish() {
    this.#forget();
    clearInterval(this.#statsTimer);
    this.#tracks.release();
  }
}
