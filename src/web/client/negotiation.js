import { ClientError } from './errors.js';
import { randomId } from './random.js';

/** Milliseconds from the offer until media flows. ICE over a slow network takes some seconds. */
const NEGOTIATION_TIMEOUT = 20_000;
/** Milliseconds to wait for the gateway's answer to a stop. */
const STOP_TIMEOUT = 3000;

/** Final statuses. */
const FINAL = new Set(['UNPUBLISHED', 'STOPPED', 'FAILED']);

/**
 * @typedef {import('./session.js').Session} Session
 *
 * @typedef {object} NegotiationOptions
 * @property {string} name of the stream
 * @property {boolean} published true to send, false to receive
 * @property {boolean} hasAudio
 * @property {boolean} hasVideo
 * @property {(connection: RTCPeerConnection) => void} addTracks called before the offer is made
 * @property {object} fields additional fields of `publishStream` or `playStream`
 * @property {(status: string, info: string) => void} ended called if the gateway ends the stream, or its media
 * connection fails, after it was established
 * @property {(message: string, data: readonly unknown[]) => void} [event] any other message for this stream
 */

/**
 * One exchange of offer and answer with the gateway, and its peer connection. A stream that is published again after
 * an interruption gets a new negotiation.
 */
export class Negotiation {
  /** The `mediaSessionId` of the WCS protocol. */
  id = randomId();
  connection = new RTCPeerConnection();
  #session;
  #options;
  /** @type {PromiseWithResolvers<void>} */
  #live = Promise.withResolvers();
  /** @type {PromiseWithResolvers<void>} */
  #over = Promise.withResolvers();
  #settled = false;
  #closed = false;

  /**
   * @param {Session} session
   * @param {NegotiationOptions} options
   */
  constructor(session, options) {
    this.#session = session;
    this.#options = options;
    this.connection.onconnectionstatechange = () => {
      if (this.connection.connectionState === 'failed')
        this.#end('FAILED', 'The media connection to the gateway was lost');
    };
  }

  /**
   * Resolves when media flows.
   *
   * @param {import('./session.js').StreamChannel} channel gets the session's messages for this stream
   * @throws {ClientError}
   */
  async start(channel) {
    const { name, published, hasAudio, hasVideo, addTracks, fields } = this.#options;
    if (this.#session.state !== 'established')
      throw new ClientError('DISCONNECTED', 'There is no connection to the gateway.');
    addTracks(this.connection);
    const offer = await this.connection.createOffer();
    await this.connection.setLocalDescription(offer);
    // Stopped in the meantime: the offer must not be sent.
    if (this.#closed) throw new ClientError('STREAM_FAILED', 'Stopped by user');
    this.#session.register(this.id, channel);
    this.#session.send(published ? 'publishStream' : 'playStream', {
      mediaSessionId: this.id,
      name,
      published,
      hasVideo,
      hasAudio,
      status: 'PENDING',
      record: false,
      mediaProvider: 'WebRTC',
      sdp: offer.sdp,
      bitrate: 0,
      minBitrate: 0,
      maxBitrate: 0,
      ...fields,
    });
    const timer = setTimeout(() => this.#end('FAILED', 'The gateway did not answer in time'), NEGOTIATION_TIMEOUT);
    try {
      await this.#live.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * @param {string} message
   * @param {readonly unknown[]} data
   */
  receive(message, data) {
    if (message === 'setRemoteSDP') {
      this.connection
        .setRemoteDescription({ type: 'answer', sdp: String(data[1]) })
        .catch((error) => this.#end('FAILED', error.message));
    } else if (message === 'notifyStreamStatusEvent' || message === 'fail') {
      const { status = '', info = '' } = /** @type {{ status?: string, info?: string }} */ (data[0]);
      if (FINAL.has(status)) this.#end(status, info);
      else if (status === 'PUBLISHING' || status === 'PLAYING') {
        this.#settled = true;
        this.#live.resolve();
      }
    } else this.#options.event?.(message, data);
  }

  /** The WebSocket is gone: the gateway no longer knows this negotiation. */
  connectionLost() {
    this.#end('FAILED', 'The connection to the gateway was lost');
  }

  /** Asks the gateway to stop, and waits for its answer up to a limit. */
  async stop() {
    this.askToStop();
    await Promise.race([this.#over.promise, new Promise((resolve) => setTimeout(resolve, STOP_TIMEOUT))]);
    this.close();
  }

  /** Asks the gateway to stop, without waiting. If the gateway no longer knows the id it uses the name. */
  askToStop() {
    const { name, published, hasAudio, hasVideo } = this.#options;
    this.#session.send(published ? 'unPublishStream' : 'stopStream', {
      mediaSessionId: this.id,
      name,
      published,
      hasVideo,
      hasAudio,
      status: published ? 'PUBLISHING' : 'PLAYING',
      record: false,
    });
  }

  close() {
    this.#closed = true;
    this.#session.unregister(this.id);
    this.connection.close();
    this.#over.resolve();
  }

  /**
   * @param {string} status
   * @param {string} info
   */
  #end(status, info) {
    if (this.#closed) return;
    this.close();
    if (this.#settled) this.#options.ended(status, info);
    else this.#live.reject(new ClientError('STREAM_FAILED', info || 'The gateway refused the stream'));
  }
}
