import { MediaClock, type TrackClock, type TrackKind } from '../media/rtp/media-clock.ts';
import { MinimumWindow } from '../media/rtp/minimum-window.ts';

/**
 * For this time, at most twice, the least delayed packet defines the stream's present, in milliseconds. A single packet
 * can only be late. If the network's delay has grown permanently, all packets are late, and audio that is on time would
 * be taken for late until the old minimum expires.
 */
const PRESENT_MS = 1000;

/** The clock of one stream: its tracks' timestamps in milliseconds, and the stream's present. */
export class StreamTime {
  readonly #clock = new MediaClock();
  /** How far the stream's clock is behind the local clock. */
  readonly #behind = new MinimumWindow(PRESENT_MS);

  track(kind: TrackKind, clockRate: number): TrackClock {
    return this.#clock.track(kind, clockRate);
  }

  /** The stream time of a packet that has just been processed. */
  arrived(track: TrackClock, rtpTimestamp: number, nowMs: number): number {
    const streamMs = track.toStreamMs(rtpTimestamp);
    this.#behind.add(nowMs - streamMs, nowMs);
    return streamMs;
  }

  /**
   * The stream time at a local time; `undefined` until a packet has arrived. Lets silence follow the clock when no
   * packet arrives.
   */
  presentMs(nowMs: number): number | undefined {
    const behindMs = this.#behind.minimum;
    return behindMs < Infinity ? nowMs - behindMs : undefined;
  }

  /** Another publisher continues the stream. */
  resume(nowMs: number): void {
    this.#clock.resume(nowMs);
  }
}
