import type { GatewayError } from '../../errors.ts';
import { OutputFeed, type OutputFeedOptions } from '../output-feed.ts';
import type { Pusher } from './pusher.ts';

export interface PushConnectionHandlers {
  /** The destination has taken media. */
  readonly onProgress: () => void;
  /** The attempt is over and was not closed by {@link PushConnection.close}. At most once. */
  readonly onDied: (error: GatewayError) => void;
  /** Video follows on a connection that began with audio alone and cannot add it: another connection can. */
  readonly onTracksChanged: () => void;
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
    { onProgress, onDied, onTracksChanged }: PushConnectionHandlers,
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
    pusher.on('died', onDied);
  }

  /** Bytes that the destination has taken. */
  get bytesSent(): number {
    return this.#bytesSent;
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
