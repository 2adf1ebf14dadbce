import { ClientError } from './errors.js';
import { randomId } from './random.js';

/** Milliseconds from the offer to media flowing: ICE over a slow network takes some seconds. */
const NEGOTIATION_TIMEOUT = 20_000;
/** Milliseconds for the gateway's answer to a stop. */
const STOP_TIMEOUT = 3000;

/** Statuses after which nothing follows. */
const FINAL = new Set(['UNPUBLISHED', 'STOPPED', 'FAILED']);

/**
 * @typedef {import('./session.js').Session} Session
 *
 * @typedef {object} NegotiationOptions
 * @property {string} name the stream's
 * @property {boolean} published true to send, false to receive
 * @property {boolean} hasAudio
 * @property {boolean} hasVideo
 * @property {(connection: RTCPeerConnection) => void} addTracks called before the offer is made
 * @property {object} fields more fields of `publishStream` or `playStream`
 * @property {(status: string, info: string) => void} ended after a success, the stream ended at the gateway or its media path failed
 * @property {(message: string, data: readonly unknown[]) => void} [event] any other message for this stream
 */

/**
 * One offer and answer with the gateway and the peer connection that comes of it. A stream that is published again after
 * an interruption gets a new one.
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
   * @param {import('./session.js').StreamChannel} channel whom the session tells of its connection
   * @throws {ClientError}
   */
  async start(channel) {
    const { name, published, hasAudio, hasVideo, addTracks, fields } = this.#options;
    if (this.#session.state !== 'established')
      throw new ClientError('DISCONNECTED', 'There is no connection to the gateway.');
    addTracks(this.connection);
    const offer = await this.connection.createOffer();
    await this.connection.setLocalDescription(offer);
    // Stopped meanwhile: the gateway must not hear of it any more.
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

  /** Asks the gateway to stop and waits for its answer, for a while. */
  async stop() {
    this.askToStop();
    await Promise.race([this.#over.promise, new Promise((resolve) => setTimeout(resolve, STOP_TIMEOUT))]);
    this.close();
  }

  /** The same for who does not wait. The gateway then goes by the name where it no longer knows the id. */
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
