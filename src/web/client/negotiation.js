import { ClientError, failure, refusal, toClientError } from './errors.js';
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
 * @property {(status: string, error: ClientError) => void} ended called if the gateway ends the stream, or its media
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
  connection = newConnection();
  #session;
  #options;
  /** @type {PromiseWithResolvers<void>} */
  #live = Promise.withResolvers();
  /** @type {PromiseWithResolvers<void>} */
  #over = Promise.withResolvers();
  #settled = false;
  #answered = false;
  /** Media has had a way to the gateway. */
  #connected = false;
  #closed = false;

  /**
   * @param {Session} session
   * @param {NegotiationOptions} options
   */
  constructor(session, options) {
    this.#session = session;
    this.#options = options;
    this.connection.onconnectionstatechange = () => {
      const { connectionState } = this.connection;
      if (connectionState === 'connected') this.#connected = true;
      if (connectionState === 'failed') this.#end('FAILED', this.#mediaError());
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
    const offer = await this.#offer(addTracks);
    // Stopped in the meantime: the offer must not be sent.
    if (this.#closed) throw failure('STREAM_FAILED', 'Stopped by user');
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
    const timer = setTimeout(() => this.#end('FAILED', this.#mediaError()), NEGOTIATION_TIMEOUT);
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
      this.#answered = true;
      this.connection
        .setRemoteDescription({ type: 'answer', sdp: String(data[1]) })
        .catch((error) => this.#end('FAILED', toClientError(error, 'STREAM_FAILED')));
    } else if (message === 'notifyStreamStatusEvent' || message === 'fail') {
      const { status = '', info, code } = /** @type {{ status?: string, info?: string, code?: string }} */ (data[0]);
      if (FINAL.has(status)) {
        const blocked = !this.#settled && this.#answered && !this.#connected && code === 'PUBLISHER_LOST';
        this.#end(
          status,
          blocked ? this.#mediaError() : refusal('STREAM_FAILED', info || 'The gateway refused the stream', code),
        );
      } else if (status === 'PUBLISHING' || status === 'PLAYING') {
        this.#settled = true;
        this.#live.resolve();
      }
    } else this.#options.event?.(message, data);
  }

  /** The WebSocket is gone: the gateway no longer knows this negotiation. */
  connectionLost() {
    this.#end('FAILED', new ClientError('DISCONNECTED', 'The connection to the gateway was lost'));
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

  /** @param {NegotiationOptions['addTracks']} addTracks */
  async #offer(addTracks) {
    try {
      addTracks(this.connection);
      const offer = await this.connection.createOffer();
      await this.connection.setLocalDescription(offer);
      return offer;
    } catch (error) {
      this.close();
      throw toClientError(error, 'STREAM_FAILED');
    }
  }

  /** Why there is no media. */
  #mediaError() {
    if (this.#settled) return new ClientError('DISCONNECTED', 'The media connection to the gateway was lost');
    if (!this.#answered) return new ClientError('DISCONNECTED', 'The gateway did not answer in time');
    return failure('MEDIA_BLOCKED', 'The gateway answers, but media does not reach it: a firewall seems to block UDP.');
  }

  /**
   * @param {string} status
   * @param {ClientError} error
   */
  #end(status, error) {
    if (this.#closed) return;
    this.close();
    if (this.#settled) this.#options.ended(status, error);
    else this.#live.reject(error);
  }
}

function newConnection() {
  if (typeof RTCPeerConnection === 'undefined')
    throw failure('UNSUPPORTED_BROWSER', 'This browser has no WebRTC, or it is switched off.');
  return new RTCPeerConnection();
}
