import { EventEmitter } from 'node:events';
import { toGatewayError, type GatewayError } from '../errors.ts';
import { PlaySession } from '../webrtc/play-session.ts';
import type { LiveStream, LiveStreamEvents, FrameSize } from '../streams/live-stream.ts';
import { INFO, type PlayStream, type StreamStatus } from './messages.ts';
import type { WcsSession } from './wcs-session.ts';

export interface PlayedStreamEvents {
  /** The page has been told its last status; nothing follows. */
  over: [];
}

/** One `playStream` of a page, from the offer to STOPPED or FAILED. */
export class PlayedStream extends EventEmitter<PlayedStreamEvents> {
  readonly #session: WcsSession;
  readonly #request: PlayStream;
  readonly #stream: LiveStream | undefined;
  #media: PlaySession | undefined;
  #over = false;

  private constructor(session: WcsSession, request: PlayStream, stream: LiveStream | undefined) {
    super();
    this.#session = session;
    this.#request = request;
    this.#stream = stream;
  }

  /** Answers the page by itself, whatever comes of it. */
  static open(session: WcsSession, request: PlayStream): PlayedStream {
    const stream = session.context.registry.find(request.name);
    const played = new PlayedStream(session, request, stream);
    const publisher = stream?.publisher;
    if (!stream || !publisher) {
      played.#finish('FAILED', INFO.streamNotFound);
      return played;
    }
    // The SDK cannot renegotiate: a publisher that comes back has new tracks, so its players have to start again.
    stream.on('lost', played.#onPublisherGone);
    stream.on('ended', played.#onPublisherGone);
    stream.on('message', played.#onMessage);
    PlaySession.create({
      publisher,
      offerSdp: request.sdp,
      logger: session.logger,
      clientAddress: session.remoteAddress,
      tcpOnly: request.transport === 'TCP',
    }).then(
      (media) => played.#start(media),
      (error: unknown) => played.#fail(toGatewayError(error)),
    );
    return played;
  }

  get over(): boolean {
    return this.#over;
  }

  /** The page stops playing. */
  stop(): void {
    this.#finish('STOPPED', INFO.stoppedByUser);
  }

  /** The page's socket is gone. */
  disconnect(): void {
    this.#finish('STOPPED', INFO.stoppedByDisconnect);
  }

  #start(media: PlaySession): void {
    if (this.#over) return media.close();
    this.#media = media;
    const { mediaSessionId } = this.#request;
    media.on('connected', () => this.#onConnected());
    media.on('lost', (reason) =>
      this.#finish('STOPPED', reason.code === 'STREAM_STOPPED' ? INFO.stoppedByPublisher : reason.message),
    );
    this.#session.send('setRemoteSDP', mediaSessionId, media.answerSdp, true);
  }

  #onConnected(): void {
    const stream = this.#stream!;
    this.#notify('PLAYING');
    // The SDK says hasVideo even where its offer has none.
    if (!this.#media?.hasVideo || !this.#request.hasVideo) return;
    if (stream.frameSize) this.#onResized(stream.frameSize);
    stream.on('resized', this.#onResized);
    this.#session.context.learnFrameSize?.(stream).catch((error: unknown) => {
      this.#session.logger.debug({ err: error, streamName: stream.name }, 'the size of the frames is not known');
    });
  }

  #fail(error: GatewayError): void {
    const info = { NO_COMMON_CODECS: INFO.noCommonCodecs, STREAM_NOT_FOUND: INFO.streamNotFound }[error.code as string];
    this.#session.logger.info(
      { streamName: this.#request.name, code: error.code, reason: error.message },
      'play refused',
    );
    this.#finish('FAILED', info ?? error.message);
  }

  readonly #onPublisherGone = (): void => this.#finish('STOPPED', INFO.stoppedByPublisher);

  readonly #onResized = ({ width, height }: FrameSize): void => {
    const { mediaSessionId } = this.#request;
    this.#session.send('notifyVideoFormat', {
      mediaSessionId,
      status: 'RESIZE',
      streamerVideoWidth: width,
      streamerVideoHeight: height,
    });
  };

  readonly #onMessage = (...[message]: LiveStreamEvents['message']): void => {
    this.#session.send('notifyStreamEvent', { mediaSessionId: this.#request.mediaSessionId, ...message });
  };

  #finish(status: StreamStatus, info: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream?.off('lost', this.#onPublisherGone);
    this.#stream?.off('ended', this.#onPublisherGone);
    this.#stream?.off('message', this.#onMessage);
    this.#stream?.off('resized', this.#onResized);
    this.#media?.close();
    this.#notify(status, info);
    this.emit('over');
  }

  #notify(status: StreamStatus, info?: string): void {
    const { mediaSessionId, name } = this.#request;
    this.#session.send('notifyStreamStatusEvent', {
      mediaSessionId,
      name,
      published: false,
      status,
      ...(info !== undefined && { info }),
    });
  }
}
