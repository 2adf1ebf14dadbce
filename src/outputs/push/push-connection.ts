import { toGatewayError, type GatewayError } from '../../errors.ts';
import type { ReconnectRequest } from '../../rtmp/reconnect-watch.ts';
import type { ConnectAnswer } from '../../rtmp/rtmp-client.ts';
import { OutputFeed, type OutputFeedOptions } from '../output-feed.ts';
import { WatchedSink } from './codecs/watched-sink.ts';
import type { Pusher } from './pusher.ts';

/** What goes over a connection. */
export type ConnectionFeed = Omit<OutputFeedOptions, 'sink' | 'onTracksChanged'>;

export interface PushConnectionHandlers {
  /**
   * The destination is ready for media: what it gets.
   *
   * @param answer what it has announced
   * @throws {GatewayError} if there is nothing that it takes
   */
  readonly begin: (answer: ConnectAnswer | undefined) => ConnectionFeed | Promise<ConnectionFeed>;
  /** The destination has taken media. */
  readonly onProgress: () => void;
  /** The attempt is over and was not closed by {@link PushConnection.close}. At most once. */
  readonly onDied: (error: GatewayError, nameInUse: boolean) => void;
  /** What follows cannot be sent on this connection, as it has other tracks or another codec: another one can. */
  readonly onTracksChanged: () => void;
  /** The server asks for another connection. */
  readonly onReconnectRequest: (request: ReconnectRequest) => void;
}

/**
 * One connection attempt of a transponder: the pusher, and the feed as soon as the destination is ready for media. A
 * reconnect is a new one.
 */
export class PushConnection {
  readonly #pusher: Pusher;
  readonly #handlers: PushConnectionHandlers;
  readonly #sink: WatchedSink;
  #feed: OutputFeed | undefined;
  #isReady = false;
  #bytesSent = 0;
  #progressedAtMs = 0;
  #over = false;

  constructor(pusher: Pusher, handlers: PushConnectionHandlers) {
    this.#pusher = pusher;
    this.#handlers = handlers;
    this.#sink = new WatchedSink(pusher, () => handlers.onTracksChanged());
    pusher.on('ready', (answer) => this.#begin(answer));
    pusher.on('progress', (bytes) => {
      this.#bytesSent = bytes;
      this.#progressedAtMs = this.mediaMs;
      handlers.onProgress();
    });
    pusher.on('drain', () => this.#feed?.pump());
    pusher.on('died', (error, nameInUse = false) => this.#die(error, nameInUse));
    pusher.on('reconnect', handlers.onReconnectRequest);
  }

  /** The destination is ready for media, and what it gets has been chosen. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Bytes that the destination has taken. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** Milliseconds since the first sequence header was sent; 0 before. */
  get mediaMs(): number {
    return this.#sink.forMs ?? 0;
  }

  /** Whether anything was sent. */
  get hasBegun(): boolean {
    return this.#sink.forMs !== undefined;
  }

  /** Milliseconds from the first sequence header until the destination last took something. */
  get takenForMs(): number {
    return this.#progressedAtMs;
  }

  /** Whether video frames were sent. */
  get hasFrames(): boolean {
    return this.#feed?.hasFrames ?? false;
  }

  get framesDropped(): number {
    return this.#feed?.framesDropped ?? 0;
  }

  /** Milliseconds of media in the queue. */
  get bufferedMs(): number {
    return this.#feed?.bufferedMs ?? 0;
  }

  /** Recent kilobits per second. */
  bitrate(nowMs: number): number {
    return this.#feed?.bitrate(nowMs) ?? 0;
  }

  /** Recent frames per second. */
  frameRate(nowMs: number): number {
    return this.#feed?.frameRate(nowMs) ?? 0;
  }

  /** Stops at once, calls no handler any more, and waits until the pusher has closed. */
  close(): Promise<void> {
    this.#over = true;
    this.#feed?.close();
    this.#pusher.removeAllListeners();
    return this.#pusher.close();
  }

  #begin(answer: ConnectAnswer | undefined): void {
    this.#isReady = true;
    try {
      const feed = this.#handlers.begin(answer);
      if (!(feed instanceof Promise)) return this.#start(feed);
      feed.then(
        (ready) => this.#start(ready),
        (error: unknown) => this.#die(toGatewayError(error), false),
      );
    } catch (error) {
      this.#die(toGatewayError(error), false);
    }
  }

  #start(feed: ConnectionFeed): void {
    if (this.#over) return;
    const { keepsTracks } = this.#pusher;
    const { onTracksChanged } = this.#handlers;
    this.#feed = OutputFeed.start({ ...feed, sink: this.#sink, ...(keepsTracks && { onTracksChanged }) });
  }

  #die(error: GatewayError, nameInUse: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#handlers.onDied(error, nameInUse);
  }
}
