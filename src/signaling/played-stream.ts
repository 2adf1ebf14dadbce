import { EventEmitter } from 'node:events';
import { toGatewayError, type GatewayError } from '../errors.ts';
import type { StreamSession } from '../sessions/client-sessions.ts';
import type { Player } from '../sessions/player.ts';
import type { FrameSize } from '../streams/live-stream.ts';
import { customToken } from './auth-token.ts';
import { INFO, infoOf, type PlayStream, type StreamStatus } from './messages.ts';
import { listed, statusEvent } from './listed-stream.ts';
import type { WcsSession } from './wcs-session.ts';
import { inBackground } from '../runtime/in-background.ts';

export interface PlayedStreamEvents {
  /** The page has received its last status; nothing follows. */
  over: [];
}

/** One `playStream` of a page, from the offer to STOPPED or FAILED. */
export class PlayedStream extends EventEmitter<PlayedStreamEvents> {
  readonly #session: WcsSession;
  readonly #request: PlayStream;
  readonly #listed: StreamSession;
  readonly #unlist: () => void;
  #principalId: string | undefined;
  #streamName: string;
  #player: Player | undefined;
  #over = false;

  /** Answers the page itself, in success and failure. */
  constructor(session: WcsSession, request: PlayStream) {
    super();
    this.#session = session;
    this.#request = request;
    this.#streamName = request.name;
    this.#listed = listed(session, request, {
      published: false,
      name: () => this.#streamName,
      principalId: () => this.#principalId,
      isActive: () => this.#player?.connected ?? false,
      renew: (endsAt) => this.#player?.renew(endsAt),
      terminate: (info) => this.terminate(info),
    });
    this.#unlist = session.context.sessions.addStream(this.#listed);
    this.#open().then(
      (player) => this.#start(player),
      (error: unknown) => this.#fail(toGatewayError(error)),
    );
  }

  /** The page stops playing. */
  stop(): void {
    this.#finish('STOPPED', INFO.stoppedByUser, { requested: true });
  }

  /** The operator ends the playback. */
  terminate(info: string): void {
    this.#finish('STOPPED', info);
  }

  /** The page's socket has closed. */
  disconnect(): void {
    this.#finish('STOPPED', INFO.stoppedByDisconnect);
  }

  async #open(): Promise<Player> {
    const { name, sdp: offerSdp, transport, hasVideo: frameSize, custom } = this.#request;
    const { context, logger } = this.#session;
    const resource = { stream: name, request: this.#listed };
    const { principalId, streamName, endsAt } = await this.#session.authorize('play', resource, customToken(custom));
    this.#principalId = principalId;
    this.#streamName = streamName ?? name;
    return context.players.play({
      streamName: this.#streamName,
      endsAt,
      offerSdp,
      clientAddress: this.#session.clientAddress,
      tcpOnly: transport === 'TCP',
      frameSize,
      logger,
    });
  }

  #start(player: Player): void {
    if (this.#over) return player.close();
    this.#player = player;
    const { mediaSessionId } = this.#request;
    player.on('connected', () => {
      this.#session.context.sessions.emit('stream', this.#listed, { status: 'PLAYING' });
      this.#notify('PLAYING');
    });
    player.on('resized', (size) => this.#onResized(size));
    player.on('message', (message) => this.#session.send('notifyStreamEvent', { mediaSessionId, ...message }));
    inBackground(
      player.ended.then((reason) => {
        if (reason?.code === 'TOKEN_EXPIRED') this.#finish('FAILED', reason.message, { code: reason.code });
        else if (reason)
          this.#finish('STOPPED', reason.code === 'STREAM_STOPPED' ? INFO.stoppedByPublisher : reason.message);
      }),
    );
    this.#session.send('setRemoteSDP', mediaSessionId, player.answerSdp, true);
  }

  #fail(error: GatewayError): void {
    if (this.#over) return;
    const { name: streamName, mediaSessionId } = this.#request;
    this.#session.logger.info(
      { streamName, mediaSessionId, code: error.code, reason: error.message },
      'playback refused',
    );
    this.#finish('FAILED', infoOf(error), { code: error.code });
  }

  #onResized({ width, height }: FrameSize): void {
    this.#session.send('notifyVideoFormat', {
      mediaSessionId: this.#request.mediaSessionId,
      status: 'RESIZE',
      streamerVideoWidth: width,
      streamerVideoHeight: height,
    });
  }

  #finish(
    status: 'STOPPED' | 'FAILED',
    info: string,
    { requested = false, code }: { readonly requested?: boolean; readonly code?: string } = {},
  ): void {
    if (this.#over) return;
    this.#over = true;
    this.#unlist();
    this.#player?.close();
    this.#session.context.sessions.emit('stream', this.#listed, { status, info, requested });
    this.#notify(status, info, code === undefined ? {} : { code });
    this.emit('over');
  }

  #notify(status: StreamStatus, info?: string, more?: Record<string, unknown>): void {
    this.#session.send('notifyStreamStatusEvent', statusEvent(this.#request, false, status, info, more));
  }
}
