import { TrackClock, type Correction, type Timeline } from './track-clock.ts';

export { TrackClock, type SenderReportTimes } from './track-clock.ts';
export type TrackKind = 'audio' | 'video';

/**
 * How a track's time is corrected. Sound is slewed by what nobody hears, but at first, when packets that were held up by the start of
 * everything have misled us, at once: a hole of a moment is better than lips that are out of sync for ten seconds; 3 s, because Chromium's
 * first report on sound comes after 2.4 s. Frames cannot be left out, so they follow fast instead; nobody sees 20 %. At once only in their
 * first second: after a start in a stall they are seconds behind, and what is silent so long waits for them.
 */
const CORRECTIONS: Readonly<Record<TrackKind, Correction>> = {
  audio: { slew: 0.02, settleMs: 3000 },
  video: { slew: 0.2, settleMs: 1000 },
};
/** How fast all tracks follow together when the way to us takes longer or shorter than before: what nobody hears. */
const SHARED_SLEW = 0.02;
/** In a pause of all packets no more is made up for than in this time: a burst follows, whose timestamps lie close together. Milliseconds. */
const MAX_SHARED_STEP_MS = 1000;
/** No way to us takes longer by so much all of a sudden: the publisher has slept, and the relation is taken as it is. */
const RELATION_JUMP_MS = 5000;
/** First reports are taken as they are for so long: packets that come meanwhile show how long the way takes. */
const ANEW_MS = 1000;
/** Two tracks of one publisher do not differ by more in their delay; if they seem to, one clock has stepped and the other not yet told. */
export const MAX_DELAY_DIFFERENCE_MS = 1000;
/** Senders report at least every 5 s (RFC 3550, 6.2); after a step of the publisher's clock the relation of before is kept for so long. */
const RELATION_HOLD_MS = 20_000;

/**
 * One time for all tracks of a stream, from their RTP timestamps.
 *
 * Until the publisher's sender reports are in, a track is placed by when its packets arrive, as if the fastest of late had taken no time.
 * Once both tracks have reports, the publisher's wall clock relates them exactly, and of the arrivals only one thing is taken: how far that
 * clock is from ours. That concerns all tracks alike and is kept here, once: when the network's delay changes they move together, so that lips
 * stay in sync. Corrections are slewed. The stream's time follows our clock, so it does not drift away from it.
 */
export class MediaClock implements Timeline {
  readonly #tracks = new Map<TrackKind, TrackClock>();
  /** Our time of the first packet, at which the stream's time is 0. */
  #originMs: number | undefined;
  #nowMs = 0;
  /** How far the publisher's wall clock is behind ours, as it has been followed so far, and when it was last looked at. */
  #relationMs = 0;
  /** Where it was to be followed to at last, and by how much a report has put a track later since then. */
  #targetMs = 0;
  #laterMs = 0;
  #relatedAtMs = -Infinity;
  #anewUntilMs = -Infinity;
  #sharedMs = 0;

  /**
   * The clock of a track. Asking again for a kind replaces its clock, for a source with another clock rate; the time goes on.
   *
   * @param clockRate hertz of the RTP timestamps
   */
  track(kind: TrackKind, clockRate: number): TrackClock {
    const track = new TrackClock(this, clockRate, CORRECTIONS[kind], this.#tracks.get(kind)?.lastStreamMs ?? 0);
    this.#tracks.set(kind, track);
    return track;
  }

  /** The stream's time at a time of ours: for what is made here and has no RTP timestamp. */
  at(nowMs: number): number {
    return this.#originMs === undefined ? 0 : nowMs - this.#originMs;
  }

  /**
   * The publisher has come back: its timestamps and its wall clock begin anew. The stream's time has gone on meanwhile; nothing
   * that follows is placed before now.
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
    // How far the publisher's wall clock is behind ours, by each track that knows both.
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

  /** The relation of the publisher's wall clock to ours on its way to `targetMs`. */
  #follow(targetMs: number): number {
    const pauseMs = this.#nowMs - this.#relatedAtMs;
    this.#relatedAtMs = this.#nowMs;
    // Where something of a track is missing its packets come later, and the relation holds: to jump would leave each track to go the rest of the
    // way at its own pace. Where the clock was set, the relation is another one by as much.
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
