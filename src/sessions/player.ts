import { EventEmitter } from 'node:events';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { Deadline } from './deadline.ts';
import type { DataChannel } from '../streams/data-channel.ts';
import type { FrameSize, LiveStream, Playback, StreamMessage } from '../streams/live-stream.ts';

export interface PlayRequest {
  readonly streamName: string;
  readonly offerSdp: string;
  /** IP address of the client. */
  readonly clientAddress?: string;
  readonly tcpOnly?: boolean;
  /** Accepts a data channel: see {@link Player.dataChannel}. */
  readonly exchangeData?: boolean;
  /** Reports the size of the frames by `resized`. */
  readonly frameSize?: boolean;
  /** When the right to play ends, in milliseconds since 1970, if it does; the player ends then. */
  readonly endsAt?: number | undefined;
  readonly logger: Logger;
}

export interface PlayerEvents {
  /** Media flows, from a key frame on. */
  connected: [];
  /** The size of the frames is known or has changed. Follows `connected`, and only if it was requested. */
  resized: [size: FrameSize];
  /** The publisher sends a message to its players. */
  message: [message: StreamMessage];
}

/** Determines the size of a stream's frames and tells the stream. */
export type LearnFrameSize = (stream: LiveStream) => Promise<void>;

/** One player of a live stream, for every door. */
export class Player extends EventEmitter<PlayerEvents> {
  readonly id: string;
  readonly answerSdp: string;
  readonly streamName: string;
  /** If the offer has one, and `exchangeData` was set. Ends with the player. */
  readonly dataChannel: DataChannel | undefined;
  /**
   * Resolves at the end: STREAM_STOPPED when the publisher has stopped or was lost, TOKEN_EXPIRED when the right to
   * play has ended, undefined after {@link Player.close}.
   */
  readonly ended: Promise<GatewayError | undefined>;
  readonly #resolveEnd: (reason: GatewayError | undefined) => void;
  readonly #stream: LiveStream;
  readonly #playback: Playback;
  #deadline: Deadline | undefined;
  #connected = false;
  #over = false;

  private constructor(stream: LiveStream, playback: Playback) {
    super();
    this.id = playback.id;
    this.answerSdp = playback.answerSdp;
    this.dataChannel = playback.dataChannel;
    this.streamName = stream.name;
    this.#stream = stream;
    this.#playback = playback;
    ({ promise: this.ended, resolve: this.#resolveEnd } = Promise.withResolvers<GatewayError | undefined>());
    playback.on('lost', (reason) => this.#end(reason));
    // WebRTC clients cannot renegotiate here: a publisher that returns has new tracks, so its players have to start
    // again.
    stream.on('lost', this.#onPublisherGone);
    stream.on('ended', this.#onPublisherGone);
    stream.on('message', this.#onMessage);
  }

  /** @throws {GatewayError} STREAM_NOT_FOUND, NOT_IMPLEMENTED, INVALID_SDP, NO_COMMON_CODECS */
  static async open(
    stream: LiveStream | undefined,
    { offerSdp, clientAddress, tcpOnly, exchangeData, frameSize = false, endsAt, logger }: PlayRequest,
    learnFrameSize?: LearnFrameSize,
  ): Promise<Player> {
    const publisher = stream?.publisher;
    if (!stream || !publisher) throw notFound();
    if (!publisher.play) throw new GatewayError('NOT_IMPLEMENTED', 'The source of this stream cannot be played.');
    const playback = await publisher.play({ offerSdp, clientAddress, tcpOnly, exchangeData, logger });
    if (stream.publisher !== publisher) {
      playback.close();
      throw notFound();
    }
    const player = new Player(stream, playback);
    player.renew(endsAt);
    playback.on('connected', () => {
      player.#connected = true;
      player.emit('connected');
      if (frameSize && playback.hasVideo) player.#watchFrameSize(learnFrameSize, logger);
    });
    return player;
  }

  /** Whether media flows. */
  get connected(): boolean {
    return this.#connected && !this.#over;
  }

  /**
   * Sets a new end of the right to play, in milliseconds since 1970; `undefined`: it does not end.
   */
  renew(endsAt: number | undefined): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
    if (endsAt === undefined || this.#over) return;
    const expired = new GatewayError('TOKEN_EXPIRED', 'The right to play has expired. Get a new token and play again.');
    this.#deadline = new Deadline(endsAt, () => this.#end(expired));
  }

  /** The player stops. Idempotent. */
  close(): void {
    this.#end(undefined);
  }

  #watchFrameSize(learn: LearnFrameSize | undefined, logger: Logger): void {
    if (this.#over) return;
    if (this.#stream.frameSize) this.#onResized(this.#stream.frameSize);
    this.#stream.on('resized', this.#onResized);
    learn?.(this.#stream).catch((error: unknown) => {
      logger.debug({ err: error, streamName: this.streamName }, 'the frame size could not be determined');
    });
  }

  readonly #onPublisherGone = (): void => this.#end(new GatewayError('STREAM_STOPPED', 'The publisher stopped.'));

  readonly #onMessage = (message: StreamMessage): void => void this.emit('message', message);

  readonly #onResized = (size: FrameSize): void => void this.emit('resized', size);

  #end(reason: GatewayError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#deadline?.cancel();
    this.#stream.off('lost', this.#onPublisherGone);
    this.#stream.off('ended', this.#onPublisherGone);
    this.#stream.off('message', this.#onMessage);
    this.#stream.off('resized', this.#onResized);
    this.#playback.close();
    this.#resolveEnd(reason);
  }
}

const notFound = (): GatewayError =>
  new GatewayError('STREAM_NOT_FOUND', 'Stream not found: it has no publisher at the moment.');
