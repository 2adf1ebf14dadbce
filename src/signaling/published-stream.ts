import { EventEmitter } from 'node:events';
import { GatewayError, toGatewayError } from '../errors.ts';
import { PublishSession } from '../webrtc/publish-session.ts';
import type { LiveStream, StreamMessage } from '../streams/live-stream.ts';
import type { NameReservation } from '../streams/stream-registry.ts';
import { parseDestination } from '../net/destination.ts';
import type { TransponderView } from '../outputs/push/transponder-view.ts';
import { INFO, type PublishStream, type StreamStatus } from './messages.ts';
import type { WcsSession } from './wcs-session.ts';

export interface PublishedStreamEvents {
  /** The page has been told its last status; nothing follows. */
  over: [];
}

/**
 * The SDK closes its peer connection in the same breath as it sends `unPublishStream`, so the end of the media may be seen first.
 * Milliseconds to wait for the message before the page is told that it was lost; the stream is held meanwhile.
 */
const FAREWELL_MS = 1000;

/** One `publishStream` of a page, from the offer to UNPUBLISHED or FAILED. */
export class PublishedStream extends EventEmitter<PublishedStreamEvents> {
  readonly #session: WcsSession;
  readonly #request: PublishStream;
  #reservation: NameReservation | undefined;
  #media: PublishSession | undefined;
  #stream: LiveStream | undefined;
  #farewell: NodeJS.Timeout | undefined;
  #stopListening: (() => void) | undefined;
  #over = false;

  private constructor(session: WcsSession, request: PublishStream) {
    super();
    this.#session = session;
    this.#request = request;
  }

  /** Answers the page by itself, whatever comes of it. The name is taken at once, so that of two publishers one wins. */
  static open(session: WcsSession, request: PublishStream): PublishedStream {
    const published = new PublishedStream(session, request);
    try {
      published.#reservation = session.context.registry.reserve(request.name, session.owner);
    } catch (error) {
      published.#fail(toGatewayError(error));
      return published;
    }
    PublishSession.create({
      pool: session.context.pool,
      audioPacketMs: session.context.audioPacketMs,
      offerSdp: request.sdp,
      logger: session.logger,
      clientAddress: session.remoteAddress,
      minBitrate: request.minBitrate,
      // `bitrate` is what older pages set; the SDK itself puts the other two into the answer.
      maxBitrate: request.maxBitrate || request.bitrate,
      tcpOnly: request.transport === 'TCP',
    }).then(
      (media) => published.#negotiated(media),
      (error: unknown) => published.#fail(toGatewayError(error)),
    );
    return published;
  }

  get over(): boolean {
    return this.#over;
  }

  /** The page stops publishing: its stream ends at once, and so do its pushes. */
  stop(): void {
    if (this.#over) return;
    // Held, it may have been continued by another publisher meanwhile: then it is not ours to end.
    const stream = this.#stream;
    if (stream && (!stream.publisher || stream.publisher === this.#media))
      this.#session.context.registry.end(stream, new GatewayError('STREAM_STOPPED', INFO.stoppedByUser));
    this.#finish('UNPUBLISHED', INFO.stoppedByUser);
  }

  /** The page's socket is gone without a goodbye: the stream is held for it. */
  disconnect(): void {
    if (this.#over) return;
    this.#lose();
    this.#finish('UNPUBLISHED', INFO.stoppedByDisconnect);
  }

  /** Passes something that the page says of its stream (a muted track, data) on to those who play it. */
  announce(message: StreamMessage): void {
    this.#stream?.emit('message', message);
  }

  #negotiated(media: PublishSession): void {
    if (this.#over) return media.close();
    this.#media = media;
    media.on('connected', () => this.#publish(media));
    media.on('lost', (reason) => this.#onMediaLost(reason));
    media.on('closed', (reason) => this.#onMediaClosed(reason));
    this.#session.send('setRemoteSDP', this.#request.mediaSessionId, media.answerSdp, true);
  }

  #publish(media: PublishSession): void {
    if (this.#over || this.#stream || !this.#reservation) return;
    const { mediaSessionId, name, hasVideo, hasAudio, record, mediaProvider, bitrate, minBitrate, maxBitrate } =
      this.#request;
    try {
      this.#stream = this.#reservation.publish(media);
    } catch (error) {
      return this.#fail(toGatewayError(error));
    }
    this.#session.logger.info(
      { streamName: name, mediaSessionId, audio: media.audio?.codec, video: media.video?.codec },
      'stream published',
    );
    this.#stopListening = this.#session.context.control.onChange((view) => {
      if (view.sourceStreamName === name) this.#tellTransponder(view);
    });
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
    const { rtmpUrl } = this.#request;
    if (rtmpUrl) void this.#push(rtmpUrl);
  }

  /** The `rtmpUrl` option: what becomes of it is told to the page and never ends the publication. */
  async #push(rtmpUrl: string): Promise<void> {
    const { name } = this.#request;
    const { control } = this.#session.context;
    try {
      await control.start({ streamName: name, rtmpUrl });
    } catch (thrown) {
      const error = toGatewayError(thrown);
      if (error.code === 'TRANSPONDER_EXISTS') {
        // The publisher came back within the window and its push went on without it.
        const known = findTransponder(() => control.find({ streamName: name, rtmpUrl }));
        if (known) return this.#tellTransponder(known);
      }
      this.#session.logger.warn(
        { streamName: name, code: error.code, reason: error.message },
        'push of a published stream refused',
      );
      control.refuse({ streamName: name, rtmpUrl }, error);
      this.#event('transponder', {
        mediaSessionId: '',
        rtmpUrl: redactedUrl(rtmpUrl, name),
        status: 'ended',
        reason: error.message,
      });
    }
  }

  #tellTransponder(view: TransponderView): void {
    this.#event('transponder', {
      mediaSessionId: view.mediaSessionId,
      rtmpUrl: view.destination,
      status: view.status,
      reason: view.reason,
    });
  }

  #onMediaLost(reason: GatewayError): void {
    if (this.#over) return;
    // A dead worker's streams end, through the registry like every end that is not the page's.
    if (reason.code !== 'PUBLISHER_LOST')
      return this.#stream ? this.#session.context.registry.end(this.#stream, reason) : this.#fail(reason);
    this.#lose();
    this.#farewell = setTimeout(() => {
      this.#session.logger.info({ streamName: this.#request.name, reason: reason.message }, 'publisher lost');
      this.#finish('FAILED', reason.message);
    }, FAREWELL_MS);
  }

  /** The stream has ended for a reason that is not the page's. */
  #onMediaClosed(reason: GatewayError | undefined): void {
    if (this.#over || this.#farewell || !reason) return;
    // FAILED for what nobody asked of this stream, the gateway's shutdown too: pages may then publish again.
    const isFault = (reason.scope === 'stream' || reason.scope === 'system') && reason.code !== 'STREAM_STOPPED';
    this.#finish(isFault ? 'FAILED' : 'UNPUBLISHED', reason.message);
  }

  /** Holds the stream for the publisher's return. */
  #lose(): void {
    if (this.#stream && this.#media) this.#session.context.registry.lose(this.#stream, this.#media);
  }

  #fail(error: GatewayError): void {
    this.#session.logger.info(
      { streamName: this.#request.name, code: error.code, reason: error.message },
      'publication refused',
    );
    const info = { STREAM_NAME_IN_USE: INFO.nameInUse, NO_COMMON_CODECS: INFO.noCommonCodecs }[error.code as string];
    this.#finish('FAILED', info ?? error.message);
  }

  #finish(status: StreamStatus, info: string): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#farewell);
    this.#stopListening?.();
    this.#reservation?.release();
    this.#media?.close();
    this.#notify(status, info);
    this.emit('over');
  }

  #notify(status: StreamStatus, info?: string, more: Record<string, unknown> = {}): void {
    const { mediaSessionId, name } = this.#request;
    this.#session.send('notifyStreamStatusEvent', {
      mediaSessionId,
      name,
      published: true,
      ...more,
      status,
      ...(info !== undefined && { info }),
    });
  }

  #event(type: string, payload: unknown): void {
    this.#session.send('notifyStreamEvent', { mediaSessionId: this.#request.mediaSessionId, type, payload });
  }
}

function findTransponder(find: () => TransponderView[]): TransponderView | undefined {
  try {
    return find().find((view) => view.status !== 'ended');
  } catch {
    return undefined; // It has ended meanwhile.
  }
}

/** Safe to show; empty when it is no URL at all. */
function redactedUrl(rtmpUrl: string, streamName: string): string {
  try {
    return parseDestination(rtmpUrl, streamName, { streamNamePrefix: '', fullUrl: false }).redacted;
  } catch {
    return '';
  }
}
