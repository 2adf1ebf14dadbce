import { MAX_DELAY_DIFFERENCE_MS, MediaClock, type TrackClock, type TrackKind } from '../media/rtp/media-clock.ts';
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
  #audioBehind = new MinimumWindow(PRESENT_MS);

  track(kind: TrackKind, clockRate: number): TrackClock {
    return this.#clock.track(kind, clockRate);
  }

  /**
   * The stream time of a packet that has just been processed.
   *
   * @param lengthMs milliseconds of media in it
   */
  arrived(track: TrackClock, rtpTimestamp: number, nowMs: number, lengthMs = 0): number {
    const streamMs = track.toStreamMs(rtpTimestamp);
    const behindMs = nowMs - streamMs - lengthMs;
    this.#behind.add(behindMs, nowMs);
    if (track.kind === 'audio') this.#audioBehind.add(behindMs, nowMs);
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

  /**
   * How far audio is to be expected behind the stream's present: where reports place it behind video that arrives with
   * it.
   */
  audioDelayMs(): number {
    const delayMs = this.#audioBehind.minimum - this.#behind.minimum;
    return Number.isFinite(delayMs) ? Math.min(Math.max(0, delayMs), MAX_DELAY_DIFFERENCE_MS) : 0;
  }

  /** Another publisher continues the stream. */
  resume(nowMs: number): void {
    this.#audioBehind = new MinimumWindow(PRESENT_MS);
    this.#clock.resume(nowMs);
  }
}
