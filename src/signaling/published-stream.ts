import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { GatewayError, type ErrorCode } from '../errors.ts';
import { hostOfRtmpUrl } from '../net/destination.ts';
import type { StreamSession } from '../sessions/client-sessions.ts';
import { plainRequestId } from '../observe/request-id.ts';
import type { PublicationEnd } from '../sessions/publication.ts';
import type { WebRtcPublication } from '../sessions/publications.ts';
import type { PushView } from '../views/push-view.ts';
import type { StreamMessage } from '../streams/live-stream.ts';
import { customToken } from './auth-token.ts';
import { INFO, infoOf, type PublishStream, type StreamStatus } from './messages.ts';
import { listed, statusEvent } from './listed-stream.ts';
import type { WcsSession } from './wcs-session.ts';

export interface PublishedStreamEvents {
  /** The page has received its last status; nothing follows. */
  over: [];
}

/**
 * The SDK closes its peer connection just before it sends `unPublishStream`, so the end of the media may be seen first.
 * Milliseconds to wait for that message before the page gets FAILED; the stream is held meanwhile.
 */
const FAREWELL_MS = 1000;

/** Ends of a stream that are not a fault. */
const REGULAR_ENDS: readonly ErrorCode[] = ['STREAM_STOPPED', 'TERMINATED'];

/** One `publishStream` of a page, from the offer to UNPUBLISHED or FAILED. */
export class PublishedStream extends EventEmitter<PublishedStreamEvents> {
  readonly #session: WcsSession;
  readonly #request: PublishStream;
  readonly #publication: WebRtcPublication;
  readonly #listed: StreamSession;
  readonly #unlist: () => void;
  #principalId: string | undefined;

  /** Answers the page itself, in success and failure. */
  constructor(session: WcsSession, request: PublishStream) {
    super();
    this.#session = session;
    this.#request = request;
    const { mediaSessionId, name: streamName, rtmpUrl } = request;
    const token = customToken(request.custom);
    const logger = session.logger.child({ mediaSessionId });
    this.#listed = listed(session, request, {
      published: true,
      record: request.record,
      // Publications begin asynchronously, so there is one when REST asks.
      name: () => this.#publication.streamName,
      principalId: () => this.#principalId,
      isActive: () => this.#publication.state === 'live',
      renew: (endsAt) => this.#publication.renew(endsAt),
      terminate: (info) => this.terminate(info),
    });
    this.#publication = session.context.publications.publish({
      streamName,
      resumeKey: session.owner,
      offerSdp: request.sdp,
      clientAddress: session.clientAddress,
      minBitrate: request.minBitrate,
      // `bitrate` is set by older pages; the SDK itself puts the other two into the answer.
      maxBitrate: request.maxBitrate || request.bitrate,
      tcpOnly: request.transport === 'TCP',
      rtmpUrls: rtmpUrl ? [rtmpUrl] : [],
      requestId: plainRequestId(mediaSessionId) ?? randomUUID(),
      record: request.record,
      rights: {
        publish: async () => {
          const { principalId, ...grant } = await session.authorize(
            'publish',
            { stream: streamName, request: this.#listed },
            token,
          );
          this.#principalId = principalId;
          return grant;
        },
        push: (url, stream) => session.authorize('push', { stream, destination: hostOfRtmpUrl(url) }, token),
      },
      graceMs: FAREWELL_MS,
      logger,
    });
    this.#unlist = session.context.sessions.addStream(this.#listed);
    this.#publication.negotiated.then(
      ({ answerSdp }) => session.send('setRemoteSDP', mediaSessionId, answerSdp, true),
      () => undefined, // Reported by `ended`.
    );
    this.#publication.on('live', () => this.#onLive());
    this.#publication.on('push', (view) => this.#onPush(view));
    this.#publication.on('ended', (end) => this.#onEnded(end));
  }

  /** The page stops publishing: its stream and its pushes end at once. */
  stop(): void {
    this.#publication.stop(new GatewayError('STREAM_STOPPED', INFO.stoppedByUser));
  }

  /** The operator ends the stream and its pushes. */
  terminate(info: string): void {
    this.#publication.stop(new GatewayError('TERMINATED', info));
  }

  /** The page's socket has closed: the stream is held for its return. */
  disconnect(): void {
    this.#publication.disconnect(new GatewayError('PUBLISHER_LOST', INFO.stoppedByDisconnect));
  }

  /** Passes a message of the page (a muted track, data) on to the players of its stream. */
  announce(message: StreamMessage): void {
    this.#publication.announce(message);
  }

  #onLive(): void {
    this.#session.rooms?.streamStarted(this.#request.custom, this.#listed.name);
    this.#session.context.sessions.emit('stream', this.#listed, { status: 'PUBLISHING' });
    const { hasVideo, hasAudio, record, mediaProvider, bitrate, minBitrate, maxBitrate } = this.#request;
    this.#notify('PUBLISHING', undefined, {
      hasVideo,
      hasAudio,
      record,
      mediaProvider,
      bitrate,
      minBitrate,
      maxBitrate,
      appKey: this.#session.appKey,
      sessionId: this.#session.id,
    });
  }

  #onPush({ mediaSessionId, destination, status, reason, publisherAway, warnings, comply, codecs }: PushView): void {
    this.#session.send('notifyStreamEvent', {
      mediaSessionId: this.#request.mediaSessionId,
      type: 'transponder',
      payload: {
        mediaSessionId,
        rtmpUrl: destination,
        status,
        reason,
        ...(publisherAway && { publisherAway }),
        ...(warnings && { warnings }),
        ...(comply && { comply }),
        ...(codecs && { codecs }),
      },
    });
  }

  #onEnded({ cause, reason }: PublicationEnd): void {
    this.#unlist();
    const requested = cause === 'stopped' && reason.code === 'STREAM_STOPPED';
    const isRegular = cause === 'stopped' || cause === 'disconnected' || REGULAR_ENDS.includes(reason.code);
    const status = isRegular ? 'UNPUBLISHED' : 'FAILED';
    this.#session.rooms?.streamEnded(this.#listed.name, !isRegular);
    this.#session.context.sessions.emit('stream', this.#listed, { status, info: infoOf(reason), requested });
    const { recordName } = this.#publication;
    this.#notify(status, infoOf(reason), { code: reason.code, ...(recordName !== undefined && { recordName }) });
    this.emit('over');
  }

  #notify(status: StreamStatus, info?: string, more?: Record<string, unknown>): void {
    this.#session.send('notifyStreamStatusEvent', statusEvent(this.#request, true, status, info, more));
  }
}
