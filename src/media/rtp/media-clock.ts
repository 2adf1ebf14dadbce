import { TrackClock, type Correction, type Timeline } from './track-clock.ts';

export { TrackClock, type SenderReportTimes } from './track-clock.ts';
export type TrackKind = 'audio' | 'video';

/**
 * How a track's time is corrected. Audio is slewed inaudibly. Only in its first 3 s it is corrected at once, because
 * packets may have been delayed by the start, and a short gap is better than ten seconds without lip sync; 3 s, because
 * Chromium's first sender report for audio comes after 2.4 s. Video frames cannot be left out, so they are slewed
 * faster: 20 % is not noticed. They are corrected at once only in their first second: after a start during a stall they
 * are seconds behind, and silence would last as long.
 */
const CORRECTIONS: Readonly<Record<TrackKind, Correction>> = {
  audio: { slew: 0.02, settleMs: 3000 },
  video: { slew: 0.2, settleMs: 1000 },
};
/** How fast all tracks follow a change of the network delay: inaudible. */
const SHARED_SLEW = 0.02;
/**
 * After a pause of all packets, at most this time is made up for: a burst follows, whose timestamps are close together.
 * Milliseconds.
 */
const MAX_SHARED_STEP_MS = 1000;
/**
 * The network delay does not grow by this much at once: the publisher was suspended, and the new relation is used
 * directly.
 */
const RELATION_JUMP_MS = 5000;
/** First reports are used directly for this time: packets that arrive meanwhile show the network delay. */
const ANEW_MS = 1000;
/**
 * Two tracks of one publisher do not differ more in their delay. If they seem to, a clock was set and one track has not
 * reported it yet.
 */
export const MAX_DELAY_DIFFERENCE_MS = 1000;
/**
 * Senders report at least every 5 s (RFC 3550, 6.2). After the publisher's clock was set, the old relation is kept for
 * this time.
 */
const RELATION_HOLD_MS = 20_000;

/**
 * Relates all tracks of a stream to one clock, by their RTP timestamps.
 *
 * Before the publisher's sender reports arrive, a track is placed by the arrival of its packets, as if the fastest of
 * the recent packets had no delay. Once both tracks have reports, the publisher's wall clock relates them exactly, and
 * arrivals only tell how far that clock is from the local clock. This offset is shared by all tracks: when the network
 * delay changes, they move together and stay in sync. Corrections are slewed. The stream's time follows the local
 * clock, so it does not drift.
 */
export class MediaClock implements Timeline {
  readonly #tracks = new Map<TrackKind, TrackClock>();
  /** Local time of the first packet, where the stream's time is 0. */
  #originMs: number | undefined;
  #nowMs = 0;
  /**
   * How far the publisher's wall clock is behind the local clock, as followed so far, and when this was last updated.
   */
  #relationMs = 0;
  /** The last target, and how much later a report has placed a track since then. */
  #targetMs = 0;
  #laterMs = 0;
  #relatedAtMs = -Infinity;
  #anewUntilMs = -Infinity;
  #sharedMs = 0;

  /**
   * Returns the clock of a track. Another call for the same kind replaces it, for a source with another clock rate; the
   * time goes on.
   *
   * @param clockRate hertz of the RTP timestamps
   */
  track(kind: TrackKind, clockRate: number): TrackClock {
    const track = new TrackClock(this, clockRate, CORRECTIONS[kind], this.#tracks.get(kind)?.lastStreamMs ?? 0);
    this.#tracks.set(kind, track);
    return track;
  }

  /** The stream's time at a local time, for media that is generated locally and has no RTP timestamp. */
  at(nowMs: number): number {
    return this.#originMs === undefined ? 0 : nowMs - this.#originMs;
  }

  /**
   * Another publisher continues the stream: its timestamps and its wall clock are new. The stream's time has continued,
   * and what follows is not placed before the current time.
   */
  resume(nowMs: number): void {
    this.#relatedAtMs = -Infinity;
    for (const track of this.#tracks.values()) track.restart(this.at(nowMs));
  }

  /** For the tracks: see {@link Timeline}. */
  get originMs(): number {
    return this.#originMs ?? 0;
  }

  observe(nowMs: number): void {
    this.#originMs ??= nowMs;
    this.#nowMs = nowMs;
  }

  get sharedMs(): number {
    return this.#sharedMs;
  }

  relateAnew(): void {
    this.#anewUntilMs = this.#nowMs + ANEW_MS;
  }

  putLater(byMs: number): void {
    this.#laterMs = byMs;
  }

  setBack(byMs: number): void {
    this.#relationMs += byMs;
    for (const track of this.#tracks.values()) track.setBack(byMs);
  }

  targetOffset(track: TrackClock): number | undefined {
    const byArrival = track.arrivalOffsetMs;
    if (track.ntpOffsetMs === undefined) return byArrival;
    // How far the publisher's wall clock is behind the local clock, by each track that knows both.
    let smallest = Infinity;
    let largest = -Infinity;
    for (const other of this.#tracks.values()) {
      const { arrivalOffsetMs, ntpOffsetMs } = other;
      if (arrivalOffsetMs === undefined || ntpOffsetMs === undefined || other.isStale(this.#nowMs)) continue;
      const difference = arrivalOffsetMs - ntpOffsetMs;
      smallest = Math.min(smallest, difference);
      largest = Math.max(largest, difference);
    }
    if (smallest === Infinity) return byArrival;
    if (largest - smallest <= MAX_DELAY_DIFFERENCE_MS) {
      return track.ntpOffsetMs + this.#follow(smallest);
    }
    return this.#nowMs - this.#relatedAtMs < RELATION_HOLD_MS ? undefined : byArrival;
  }

  /** Moves the relation of the publisher's wall clock to the local clock towards `targetMs`. */
  #follow(targetMs: number): number {
    const pauseMs = this.#nowMs - this.#relatedAtMs;
    this.#relatedAtMs = this.#nowMs;
    // If media of a track is missing, its packets come later and the relation holds: with a jump, each track would go
    // the rest of the way at its own rate. If the clock was set, the relation changes by the same amount.
    if (this.#targetMs - targetMs > this.#laterMs / 2) this.#relationMs -= this.#laterMs;
    this.#laterMs = 0;
    this.#targetMs = targetMs;
    const error = targetMs - this.#relationMs;
    if (this.#nowMs < this.#anewUntilMs || pauseMs >= RELATION_HOLD_MS || Math.abs(error) > RELATION_JUMP_MS)
      return (this.#relationMs = targetMs);
    const limit = SHARED_SLEW * Math.min(pauseMs, MAX_SHARED_STEP_MS);
    const step = Math.min(Math.max(error, -limit), limit);
    this.#sharedMs += step;
    return (this.#relationMs += step);
  }
}
