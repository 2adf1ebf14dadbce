import type { GatewayError } from '../../errors.ts';
import type { ReconnectRequest } from '../../rtmp/reconnect-watch.ts';
import { OutputFeed, type OutputFeedOptions } from '../output-feed.ts';
import type { Pusher } from './pusher.ts';

export interface PushConnectionHandlers {
  /** The destination has taken media. */
  readonly onProgress: () => void;
  /** The attempt is over and was not closed by {@link PushConnection.close}. At most once. */
  readonly onDied: (error: GatewayError, nameInUse: boolean) => void;
  /** Video follows on a connection that began with audio alone and cannot add it: another connection can. */
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
  #feed: OutputFeed | undefined;
  #bytesSent = 0;

  constructor(
    pusher: Pusher,
    feed: Omit<OutputFeedOptions, 'sink' | 'onTracksChanged'>,
    { onProgress, onDied, onTracksChanged, onReconnectRequest }: PushConnectionHandlers,
  ) {
    this.#pusher = pusher;
    pusher.on('ready', () => {
      this.#feed = OutputFeed.start({ ...feed, sink: pusher, ...(pusher.keepsTracks && { onTracksChanged }) });
    });
    pusher.on('progress', (bytes) => {
      this.#bytesSent = bytes;
      onProgress();
    });
    pusher.on('drain', () => this.#feed?.pump());
    pusher.on('died', (error, nameInUse = false) => onDied(error, nameInUse));
    pusher.on('reconnect', onReconnectRequest);
  }

  /** Bytes that the destination has taken. */
  get bytesSent(): number {
    return this.#bytesSent;
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
    this.#feed?.close();
    this.#pusher.removeAllListeners();
    return this.#pusher.close();
  }
}
