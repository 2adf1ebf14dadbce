import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { IceFragment } from '../../sessions/ice-fragment.ts';
import type { PublicationEnd } from '../../sessions/publication.ts';
import type { PublicationRights } from '../../sessions/publish-right.ts';
import { DEFAULT_APPLICATION, type StreamSession } from '../../sessions/client-sessions.ts';
import type { DataChannel } from '../../streams/data-channel.ts';
import type { StreamMessage } from '../../streams/live-stream.ts';
import type { Publications, WebRtcPublication } from '../../sessions/publications.ts';
import { wallClockDate } from '../../runtime/wall-clock.ts';

export interface WhipPublicationRequest {
  /** Cannot be guessed: it is the last part of the session's URL. */
  readonly id: string;
  readonly streamName: string;
  readonly offerSdp: string;
  /** Only a publisher with the same key may continue the stream after a loss. */
  readonly resumeKey: string | undefined;
  /** Where the stream is pushed as soon as it is live. */
  readonly rtmpUrls: readonly string[];
  readonly tcpOnly: boolean;
  readonly record: boolean;
  /** Messages are exchanged over data channels: see {@link WhipPublication.dataChannel}. */
  readonly exchangeData?: boolean;
  /** IP address of the client. */
  readonly clientAddress: string;
  /** The first path segment of the URLs of Red5 Pro's clients. */
  readonly application?: string;
  /** Who the client is. */
  readonly principalId?: string;
  /** What the client may do; without it, everything. */
  readonly rights?: PublicationRights;
  readonly requestId?: string;
}

export interface WhipPublicationEvents {
  /** The publication has ended; nothing follows. */
  over: [end: PublicationEnd];
  /** The stream has this publisher now. */
  live: [];
}

/**
 * One WHIP session, from the offer to the DELETE or the end of its stream. The resource exists for as long as the
 * stream is held: many clients close the connection first and send DELETE then.
 */
export class WhipPublication extends EventEmitter<WhipPublicationEvents> {
  readonly id: string;
  readonly #publication: WebRtcPublication;
  readonly #media: Awaited<WebRtcPublication['negotiated']>;
  #etag = createETag();

  private constructor(id: string, publication: WebRtcPublication, media: Awaited<WebRtcPublication['negotiated']>) {
    super();
    this.id = id;
    this.#publication = publication;
    this.#media = media;
    publication.once('live', () => this.emit('live'));
    publication.once('ended', (end) => this.emit('over', end));
  }

  /**
   * @throws {GatewayError} STREAM_NAME_IN_USE, LIMIT_REACHED, OVERLOADED, INVALID_SDP, NO_COMMON_CODECS, WORKER_DIED
   */
  static async create(
    publications: Publications,
    request: WhipPublicationRequest,
    logger: Logger,
  ): Promise<WhipPublication> {
    const { id } = request;
    const publication = publications.publish({
      ...request,
      complete: true,
      dataChannel: true,
      exchangeData: request.exchangeData,
      logger: logger.child({ whipSession: id }),
    });
    return new WhipPublication(id, publication, await publication.negotiated);
  }

  get streamName(): string {
    return this.#publication.streamName;
  }

  get answerSdp(): string {
    return this.#media.answerSdp;
  }

  /**
   * Identifies the current ICE session: changes with every restart. A strong entity tag, quotes included (RFC 9110,
   * 8.8.3).
   */
  get etag(): string {
    return this.#etag;
  }

  /** If the offer has one, and `exchangeData` was set. */
  get dataChannel(): DataChannel | undefined {
    return this.#media.dataChannel;
  }

  /** Passes a message of the publisher on to the players of its stream. */
  announce(message: StreamMessage): void {
    this.#publication.announce(message);
  }

  /** Whether the publication has ended. */
  get isOver(): boolean {
    return this.#publication.state === 'ended';
  }

  /** Whether the fragment is for the current ICE session; otherwise it begins a new one. */
  isCurrent({ usernameFragment, password }: IceFragment): boolean {
    const { remoteIce } = this.#media;
    return remoteIce.usernameFragment === usernameFragment && remoteIce.password === password;
  }

  /** Whether there is a connection that could be restarted. There is none while the stream is held after a loss. */
  get restartable(): boolean {
    return !this.#media.closed;
  }

  /** @returns the SDP fragment with the gateway's new credentials; {@link etag} has changed with it */
  async restartIce(fragment: IceFragment): Promise<string> {
    const answer = await this.#media.restartIce(fragment);
    this.#etag = createETag();
    return answer;
  }

  /** The session as REST shows it. */
  listed({
    offerSdp,
    tcpOnly,
    clientAddress,
    application = DEFAULT_APPLICATION,
    principalId,
  }: WhipPublicationRequest): StreamSession {
    const publication = this.#publication;
    return {
      mediaSessionId: this.id,
      sessionId: this.id,
      name: this.streamName,
      published: true,
      mediaProvider: 'WHIP',
      appKey: application,
      application,
      hasAudio: this.#media.audio !== undefined,
      hasVideo: this.#media.video !== undefined,
      transport: tcpOnly ? 'TCP' : 'UDP',
      offerSdp,
      bitrate: 0,
      minBitrate: 0,
      maxBitrate: 0,
      clientAddress,
      createdAt: wallClockDate(),
      principalId,
      renew: (endsAt) => publication.renew(endsAt),
      get active() {
        return publication.state === 'live';
      },
      terminate: (info) => this.close(new GatewayError('TERMINATED', info)),
    };
  }

  /** Ends the publication and its stream, also one that is held. Idempotent. */
  close(reason: GatewayError): void {
    this.#publication.stop(reason);
  }
}

const createETag = (): string => `"${randomBytes(12).toString('base64url')}"`;
