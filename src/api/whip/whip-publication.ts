import { randomBytes, randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { toGatewayError, type GatewayError } from '../../errors.ts';
import { PublishSession, type PublishSessionOptions } from '../../webrtc/publish-session.ts';
import type { IceFragment } from '../../webrtc/sdp-fragment.ts';
import type { WorkerPool } from '../../webrtc/worker-pool.ts';
import type { Logger } from '../../observe/logger.ts';
import type { LiveStream, Publisher } from '../../streams/live-stream.ts';
import type { NameReservation, StreamRegistry } from '../../streams/stream-registry.ts';
import type { TransponderControl } from '../../outputs/push/transponder-view.ts';

/** What every publication works with. */
export interface WhipContext {
  readonly pool: WorkerPool;
  readonly audioPacketMs?: PublishSessionOptions['audioPacketMs'];
  readonly registry: StreamRegistry;
  readonly control: TransponderControl;
  readonly logger: Logger;
}

export interface PublicationRequest {
  readonly streamName: string;
  readonly offerSdp: string;
  /** Who may continue the stream after a loss. */
  readonly resumeKey: string | undefined;
  /** Where the stream is pushed to as soon as it is up. */
  readonly rtmpUrls: readonly string[];
  readonly tcpOnly: boolean;
  /** IP address of the client. */
  readonly clientAddress: string;
}

export interface WhipPublicationEvents {
  /** The publication is over, by whomever; nothing follows. */
  over: [];
}

/** One WHIP session, from the offer to the DELETE or the end of its stream. */
export class WhipPublication extends EventEmitter<WhipPublicationEvents> {
  readonly id = randomUUID();
  readonly streamName: string;
  readonly #context: WhipContext;
  readonly #request: PublicationRequest;
  readonly #reservation: NameReservation;
  readonly #media: PublishSession;
  #stream: LiveStream | undefined;
  #etag = createETag();
  #over = false;

  private constructor(
    context: WhipContext,
    request: PublicationRequest,
    reservation: NameReservation,
    media: PublishSession,
  ) {
    super();
    this.streamName = request.streamName;
    this.#context = context;
    this.#request = request;
    this.#reservation = reservation;
    this.#media = media;
    media.on('connected', () => this.#publish());
    media.on('lost', (reason) => this.#onMediaLost(reason));
  }

  /**
   * Takes the name at once, so that of two publishers one wins; the stream is up when the media is connected.
   *
   * @throws {GatewayError} STREAM_NAME_IN_USE, LIMIT_REACHED, or as {@link PublishSession.create}
   */
  static async create(context: WhipContext, request: PublicationRequest): Promise<WhipPublication> {
    const reservation = context.registry.reserve(request.streamName, request.resumeKey);
    try {
      const { pool, audioPacketMs, logger } = context;
      const { offerSdp, tcpOnly, clientAddress } = request;
      const media = await PublishSession.create({
        pool,
        audioPacketMs,
        offerSdp,
        tcpOnly,
        clientAddress,
        complete: true,
        dataChannel: true,
        logger,
      });
      return new WhipPublication(context, request, reservation, media);
    } catch (error) {
      reservation.release();
      throw error;
    }
  }

  get answerSdp(): string {
    return this.#media.answerSdp;
  }

  /** Names the present ICE session: changes with every restart. A strong entity tag, quotes included (RFC 9110, 8.8.3). */
  get etag(): string {
    return this.#etag;
  }

  /** Whether the fragment is for the present ICE session; otherwise it begins a new one. */
  isCurrent({ usernameFragment, password }: IceFragment): boolean {
    const { remoteIce } = this.#media;
    return remoteIce.usernameFragment === usernameFragment && remoteIce.password === password;
  }

  /** Whether there is a connection that could be restarted: not after a loss, while the stream is held. */
  get restartable(): boolean {
    return !this.#over && !this.#media.closed;
  }

  /** @returns the SDP fragment with our new credentials; {@link etag} has changed with it */
  async restartIce(fragment: IceFragment): Promise<string> {
    const answer = await this.#media.restartIce(fragment);
    this.#etag = createETag();
    return answer;
  }

  /** Ends the publication and its stream, also one that is held for it. Idempotent. */
  close(reason: GatewayError): void {
    if (this.#over) return;
    if (this.#stream) this.#context.registry.end(this.#stream, reason);
    this.#finish();
  }

  #publish(): void {
    if (this.#over || this.#stream) return;
    const { logger } = this.#context;
    const { streamName, rtmpUrls } = this.#request;
    try {
      this.#stream = this.#reservation.publish(this.#media);
    } catch (error) {
      // Only while it connected: the limit was reached by others.
      logger.info({ streamName, code: toGatewayError(error).code }, 'publication refused');
      return this.#finish();
    }
    const stream = this.#stream;
    stream.on('ended', this.#onStreamOver);
    stream.on('published', this.#onStreamOver);
    logger.info(
      { streamName, whipSession: this.id, audio: this.#media.audio?.codec, video: this.#media.video?.codec },
      'stream published',
    );
    for (const rtmpUrl of rtmpUrls) void this.#push(rtmpUrl);
  }

  /** What becomes of a push never ends the publication: it is in the log and in the history of ended transponders. */
  async #push(rtmpUrl: string): Promise<void> {
    const { control, logger } = this.#context;
    const request = { streamName: this.streamName, rtmpUrl };
    try {
      await control.start(request);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      // The publisher came back within the window and its push went on without it.
      if (error.code === 'TRANSPONDER_EXISTS') return;
      logger.warn(
        { streamName: this.streamName, code: error.code, reason: error.message },
        'push of a published stream refused',
      );
      control.refuse(request, error);
    }
  }

  #onMediaLost(reason: GatewayError): void {
    if (this.#over) return;
    const { registry, logger } = this.#context;
    logger.info({ streamName: this.streamName, whipSession: this.id, reason: reason.message }, 'publisher lost');
    if (!this.#stream) return this.#finish();
    // The resource stays for as long as the stream is held: many clients close the connection first and send DELETE then.
    if (reason.code === 'PUBLISHER_LOST') registry.lose(this.#stream, this.#media);
    else registry.end(this.#stream, reason);
  }

  /** The stream has ended, or another publisher continues it. */
  readonly #onStreamOver = (by: Publisher | GatewayError): void => {
    if (by !== this.#media) this.#finish();
  };

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream?.off('ended', this.#onStreamOver);
    this.#stream?.off('published', this.#onStreamOver);
    this.#reservation.release();
    this.#media.close();
    this.emit('over');
  }
}

const createETag = (): string => `"${randomBytes(12).toString('base64url')}"`;
