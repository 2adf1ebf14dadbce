import { delayDifference, isBelievable } from './relatable.ts';
import { commonStep, pairsShow, ReportPairs } from './report-pairs.ts';
import { placedByReports } from './report-placement.ts';
import {
  areExact,
  arrivalsShow,
  noiseOf,
  type Relation,
  REPORTS_END_MS,
  reportsEndMs,
  SUPPORT_MS,
} from './report-window.ts';
import { meanOf } from './statistics.ts';
import { TrackClock, type Timeline, type TrackKind } from './track-clock.ts';

export { NO_DETAILS, TrackClock, type PacketDetails, type SenderReportTimes, type TrackKind } from './track-clock.ts';

/** How fast all tracks follow a change of the network delay: inaudible. */
const SHARED_SLEW = 0.02;
/** Faster, the further they are away beyond this: a clock may be wrong by more than the slew. */
const FAR_MS = 250;
const FAR_WITHIN_MS = 5000;
/** After a pause of all packets, at most this time is made up for: a burst follows, with timestamps close together. */
const MAX_SHARED_STEP_MS = 1000;
/**
 * The network delay does not grow by this much at once: the publisher was suspended, and the new relation is used
 * directly.
 */
const RELATION_JUMP_MS = 5000;
/** After a pause of all packets of this length too. */
const RELATION_HOLD_MS = 20_000;
/** First reports are used directly for this time: packets that arrive meanwhile show the network delay. */
const ANEW_MS = 1000;
/** Two tracks of one publisher do not differ more in their delay. If they seem to, their reports contradict each other. */
export const MAX_DELAY_DIFFERENCE_MS = 1000;
/** See {@link isBelievable}. */
const DOUBT_MS = 1400;
/** Tracks go where fewer reports than these say at once. */
const ENOUGH_REPORTS = 8;
/** They approach what more of them say in this time. */
const APPROACH_MS = 5000;
/** Without reports: a track is placed by its arrival for this time, because its first packets may have been delayed. */
const SETTLE_MS = 3000;
/** Then it is placed later once it was later than the other one by this much, for this time, without catching up. */
const LATE_MS = 80;
const LATE_FOR_MS = 1200;
const CATCH_UP_MS = 40;
/** How fast it follows a small difference: crystals differ by less. */
const DRIFT = 0.001;
/** A step that only one track shows is not one of the wall clock once it lasted this long, at least three reports. */
const ONE_TRACK_MS = 6000;
/** How often delays are compared, in milliseconds. */
const UPDATE_MS = 20;

/**
 * Relates all tracks of a stream to one clock, by their RTP timestamps.
 *
 * Without sender reports of all tracks, a track is placed by the arrival of its packets, as if the fastest of the recent
 * packets had no delay. With reports, the publisher's wall clock relates the tracks, and arrivals only tell how far that
 * clock is from the local clock. In both cases, this relation to the local clock is shared by all tracks: when the
 * network delay changes, they move together and stay in sync. It is slewed, and it follows the local clock, so the
 * stream's time does not drift, whatever reports say.
 */
export class MediaClock implements Timeline {
  readonly #tracks = new Map<TrackKind, TrackClock>();
  readonly #pairs = new ReportPairs();
  /** Local time of the first packet, where the stream's time is 0. */
  #originMs: number | undefined;
  #nowMs = 0;
  #updatedMs = -Infinity;
  /** Whether the publisher's wall clock relates the tracks, and since when it could. */
  #isRelated = false;
  #relatableMs: number | undefined;
  /** How far the clock on which the tracks are placed is behind the local clock, and when it was last followed. */
  #relationMs = 0;
  #followedMs = -Infinity;
  #anewUntilMs = -Infinity;
  #sharedMs = 0;
  /** Local time minus the time of the last report of each track. */
  readonly #reportDelays = new Map<TrackKind, number>();

  /**
   * Returns the clock of a track. Another call for the same kind replaces it, for a source with another clock rate; the
   * time goes on.
   *
   * @param clockRate hertz of the RTP timestamps
   */
  track(kind: TrackKind, clockRate: number): TrackClock {
    const track = new TrackClock(this, kind, clockRate, this.#tracks.get(kind)?.lastStreamMs ?? 0);
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
    for (const track of this.#tracks.values()) track.restart(this.at(nowMs));
    this.#isRelated = false;
    this.#relatableMs = undefined;
    this.#relationMs = 0;
    this.#followedMs = -Infinity;
    this.#reportDelays.clear();
  }

  /** For the tracks: see {@link Timeline}. */
  get originMs(): number {
    return this.#originMs ?? 0;
  }

  observe(nowMs: number): void {
    this.#originMs ??= nowMs;
    this.#nowMs = nowMs;
  }

  outdated(): void {
    this.#updatedMs = -Infinity;
  }

  get sharedMs(): number {
    return this.#sharedMs;
  }

  noiseMs({ kind, reports }: TrackClock): number {
    const other = this.#tracks.get(kind === 'audio' ? 'video' : 'audio');
    return noiseOf(reports, other?.reports) ?? 0;
  }

  reportedLaterMs(kind: TrackKind, delayMs: number): number {
    this.#reportDelays.set(kind, delayMs);
    return delayMs - Math.min(...this.#reportDelays.values());
  }

  reported(track: TrackClock, offsetMs: number): void {
    // The longest recent interval: senders vary it by half (RFC 3550, 6.3.1).
    track.reportEveryMs = Math.max(Math.min(this.#nowMs - track.reportedMs, REPORTS_END_MS), track.reportEveryMs * 0.8);
    track.reportedMs = this.#nowMs;
    const laterMs = this.#delayChange(track, this.#other(track));
    const aloneMs = this.#delayChange(track, undefined);
    track.reports.add(offsetMs, this.#nowMs, this.noiseMs(track), { laterMs, aloneMs });
    track.assumedMs = 0;
    if (track.reports.steps.length > 0) this.#judgeSteps(track);
    else {
      track.confirmedMs = this.#nowMs;
      track.reportedDelays = { ownMs: track.recentOffsetMs, otherMs: this.#other(track)?.recentOffsetMs };
    }
    this.#updatedMs = -Infinity;
  }

  placeAnew(): void {
    for (const track of this.#tracks.values()) {
      track.placedMs = undefined;
      track.knownDelayMs = 0;
      track.late = undefined;
    }
    this.#isRelated = false;
    this.#relationMs = 0;
    this.outdated();
  }

  targetOffset(track: TrackClock): number {
    if (this.#nowMs - this.#updatedMs >= UPDATE_MS || track.placedMs === undefined) this.#update(track);
    return track.placedMs! + this.#relationMs;
  }

  #other(track: TrackClock): TrackClock | undefined {
    for (const other of this.#tracks.values())
      if (other !== track && other.arrivalOffsetMs !== undefined && !other.hasPaused(this.#nowMs)) return other;
    return undefined;
  }

  /** Decides what reports mean that differ from those before. */
  #judgeSteps(track: TrackClock): void {
    const { reports } = track;
    const noiseMs = this.noiseMs(track);
    const stepMs = this.#stepOf(track);
    const agreeing = reports.agreeing(noiseMs);
    const other = this.#other(track);
    const shiftMs = this.#delayChange(track, other);
    // Media is missing, or timestamps have jumped: packets are later or earlier than before, too.
    if (arrivalsShow(stepMs, shiftMs)) {
      if (areExact(noiseMs)) return this.#accept(track, agreeing, true);
      reports.shift(shiftMs);
      reports.acceptNoise();
      return this.#accept(track, 0);
    }
    // The publisher's wall clock was set: it is the same for all tracks, and nothing moves.
    const common = other && !areExact(noiseMs) ? commonStep(reports, other.reports) : undefined;
    if (common) return this.#setClock([track, other!], common.byMs, common.sinceMs);
    if (!other || other.reports.isEmpty) return this.#setClock([track], stepMs);
    if (other.reports.steps.length > 0 && Math.abs(this.#stepOf(other) - stepMs) <= Math.max(SUPPORT_MS, 2 * noiseMs))
      return this.#setClock([track, other], stepMs);
    const firstMs = reports.steps[0]!.atMs;
    const isOnlyThis =
      other.confirmedMs > firstMs || (reports.steps.length >= 3 && this.#nowMs - firstMs > ONE_TRACK_MS);
    if (agreeing >= reports.stepsNeeded(noiseMs) && isOnlyThis) {
      if (areExact(noiseMs) || pairsShow(reports, other.reports, stepMs, firstMs)) return this.#accept(track, agreeing);
      return this.#setClock([track, other], stepMs, firstMs);
    }
    if (reports.steps.length >= 3 && agreeing < 2) reports.acceptNoise();
  }

  #stepOf(track: TrackClock): number {
    const { reports } = track;
    return reports.steps.at(-1)!.ms - reports.relation(this.#nowMs, this.noiseMs(track))!.ms;
  }

  /** How much later the track arrives than at its last report, compared with the other one. */
  #delayChange(track: TrackClock, other: TrackClock | undefined): number {
    const before = track.reportedDelays;
    if (!before) return 0;
    const changeMs = track.recentOffsetMs - before.ownMs;
    return other && before.otherMs !== undefined ? changeMs - (other.recentOffsetMs - before.otherMs) : changeMs;
  }

  #accept(track: TrackClock, count: number, areShown = false): void {
    if (count > 0) track.reports.acceptSteps(count, areShown);
    track.confirmedMs = this.#nowMs;
    track.reportedDelays = { ownMs: track.recentOffsetMs, otherMs: this.#other(track)?.recentOffsetMs };
    track.forgetDelays();
    if (this.#isRelated) track.placedMs = track.ntpOffsetMs!;
  }

  /** @param sinceMs reports are not exact: none of them is lost for the relation, and those before are changed */
  #setClock(tracks: readonly TrackClock[], byMs: number, sinceMs?: number): void {
    for (const track of tracks) {
      const { reports } = track;
      if (sinceMs === undefined) {
        reports.shift(byMs);
        reports.acceptSteps(reports.agreeing(this.noiseMs(track)));
      } else reports.acceptClock(byMs, sinceMs);
    }
    if (!this.#isRelated) return;
    for (const track of this.#tracks.values()) if (track.placedMs !== undefined) track.placedMs += byMs;
    this.#relationMs -= byMs;
  }

  #update(asked: TrackClock): void {
    this.#updatedMs = this.#nowMs;
    const tracks = [...this.#tracks.values()].filter(
      (track) => track === asked || (track.arrivalOffsetMs !== undefined && !track.isStale(this.#nowMs)),
    );
    for (const track of tracks) if (track.reports.steps.length > 0) this.#judgeSteps(track);
    if (this.#canRelate(tracks)) this.#placeByReports(tracks);
    else this.#placeByArrival(tracks);
    this.#follow(Math.min(...tracks.map((track) => track.arrivalOffsetMs! - track.placedMs!)));
  }

  #canRelate(tracks: readonly TrackClock[]): boolean {
    const differenceMs = delayDifference(tracks);
    const haveEnded = tracks.some(
      (track) => !track.hasPaused(this.#nowMs) && this.#nowMs - track.reportedMs > reportsEndMs(track.reportEveryMs),
    );
    if (haveEnded || !(differenceMs <= MAX_DELAY_DIFFERENCE_MS)) {
      this.#relatableMs = undefined;
      return false;
    }
    this.#relatableMs ??= this.#nowMs;
    if (this.#isRelated || isBelievable(tracks, differenceMs)) return true;
    return this.#nowMs - this.#relatableMs >= DOUBT_MS;
  }

  #placeByReports(tracks: readonly TrackClock[]): void {
    for (const track of tracks) this.#followSlope(track);
    const isAtOnce = !this.#isRelated || tracks.some(({ reports }) => reports.count < ENOUGH_REPORTS);
    const share = isAtOnce ? 1 : Math.min(1, Math.max(0, this.#nowMs - this.#followedMs) / APPROACH_MS);
    const placed = placedByReports(tracks, this.#relationsOf(tracks), share);
    // What reports that are not exact say of all tracks is noise, or a wall clock that was set: nothing moves.
    if (this.#isRelated && !this.#areExact(tracks))
      this.#relationMs -= meanOf(placed.map((ms, index) => ms - (tracks[index]!.placedMs ?? ms)));
    for (const [index, track] of tracks.entries()) {
      track.placedMs = placed[index]!;
      this.#assume(track);
    }
    if (!this.#isRelated) this.#anewUntilMs = this.#nowMs + ANEW_MS;
    this.#isRelated = true;
  }

  #areExact = (tracks: readonly TrackClock[]): boolean => tracks.every((track) => areExact(this.noiseMs(track)));

  #relationsOf(tracks: readonly TrackClock[]): Relation[] {
    const relations = tracks.map((track) => {
      const { ms, radiusMs } = track.reports.relation(this.#nowMs, this.noiseMs(track))!;
      return { ms: ms + track.assumedMs, radiusMs };
    });
    return tracks.length < 2 || this.#areExact(tracks) ? relations : this.#pairs.relations(tracks, relations);
  }

  /** A single report says nothing of what comes after it: a track that is later since then is taken to have jumped. */
  #assume(track: TrackClock): void {
    const isSingle = track.reports.count === 1 && track.reports.differences === 0;
    const byMs = isSingle ? this.#delayChange(track, this.#other(track)) - track.assumedMs : 0;
    if (this.#bound(track, byMs)) track.assumedMs += byMs;
  }

  /** Media that is lost at a steady rate makes packets later and later: earlier ones were as fast. */
  #followSlope(track: TrackClock): void {
    const { reports, reportedDelays } = track;
    const noiseMs = this.noiseMs(track);
    if (!reportedDelays || !reports.changes(noiseMs)) return;
    const slope = reports.slope(noiseMs);
    reports.arriveLater(this.#delayChange(track, this.#other(track)));
    const elapsedMs = Math.min(this.#nowMs - this.#followedMs, MAX_SHARED_STEP_MS);
    track.shiftDelays(slope * elapsedMs);
    if (track.placedMs !== undefined) track.placedMs += slope * elapsedMs;
  }

  #placeByArrival(tracks: readonly TrackClock[]): void {
    if (this.#isRelated) {
      this.#isRelated = false;
      this.#relationMs = 0;
      for (const track of tracks) {
        track.placedMs = track.offsetMs;
        // What reports have shown to be late is in its place.
        const ownMs = track.reportedDelays?.ownMs ?? track.recentOffsetMs;
        track.knownDelayMs = ownMs + track.assumedMs - (track.offsetMs ?? 0);
        track.assumedMs = 0;
      }
    }
    const elapsedMs = Math.min(Math.max(0, this.#nowMs - this.#followedMs), MAX_SHARED_STEP_MS);
    for (const track of tracks) {
      const byArrival = track.arrivalOffsetMs! - this.#relationMs;
      if (track.placedMs === undefined || this.#nowMs - track.beganMs < SETTLE_MS) track.placedMs = byArrival;
      else {
        const limit = DRIFT * elapsedMs;
        track.placedMs += Math.min(Math.max(byArrival - track.placedMs, -limit), limit);
      }
    }
    const present = tracks.filter((track) => !track.hasPaused(this.#nowMs));
    const delayOf = (track: TrackClock): number => track.recentOffsetMs - track.placedMs! - track.knownDelayMs;
    const least = Math.min(...present.map(delayOf));
    for (const track of present) this.#bound(track, delayOf(track) - least);
  }

  /** Places a track later that has been later than the other one for some time. @returns whether it did */
  #bound(track: TrackClock, byMs: number): boolean {
    if (byMs <= LATE_MS) track.late = undefined;
    else if (!track.late || byMs < track.late.byMs - CATCH_UP_MS) track.late = { sinceMs: this.#nowMs, byMs };
    else if (this.#nowMs - track.late.sinceMs >= LATE_FOR_MS) {
      track.placedMs! += byMs;
      track.forgetDelays();
      return true;
    }
    return false;
  }

  /** Moves the relation to the local clock towards `targetMs`. */
  #follow(targetMs: number): void {
    const pauseMs = this.#nowMs - this.#followedMs;
    this.#followedMs = this.#nowMs;
    const error = targetMs - this.#relationMs;
    if (this.#nowMs < this.#anewUntilMs || pauseMs >= RELATION_HOLD_MS || Math.abs(error) > RELATION_JUMP_MS) {
      this.#relationMs = targetMs;
      return;
    }
    const rate = Math.max(SHARED_SLEW, (Math.abs(error) - FAR_MS) / FAR_WITHIN_MS);
    const limit = rate * Math.min(pauseMs, MAX_SHARED_STEP_MS);
    const step = Math.min(Math.max(error, -limit), limit);
    this.#sharedMs += step;
    this.#relationMs += step;
  }
}
