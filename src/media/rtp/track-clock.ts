import { MinimumWindow } from './minimum-window.ts';
import { PauseJudge } from './pause-judge.ts';
import { ReportCheck } from './report-check.ts';
import { ReportWindow } from './report-window.ts';
import { RtpTimeline } from './rtp-timeline.ts';
import { NO_DETAILS, type PacketDetails, type SenderReportTimes, type Timeline, type TrackKind } from './timeline.ts';

export { NO_DETAILS, type PacketDetails, type SenderReportTimes, type Timeline, type TrackKind } from './timeline.ts';

/**
 * Errors up to this size are slewed: audio inaudibly, and video, whose frames cannot be left out, faster, which is not
 * noticed. Larger ones are noticeable lip-sync errors. They are corrected at once, with a gap in the audio or by leaving
 * some out. Video that has to go back is played faster instead.
 */
const SLEWED_MS = 60;
const SLEW: Readonly<Record<TrackKind, number>> = { audio: 0.02, video: 0.2 };
/** Audio follows faster than that once it is further away: media that is lost at a steady rate. */
const AUDIO_FAR_MS = 25;
const AUDIO_FAR_SLEW = 0.06;
const VIDEO_CATCH_UP = 0.9;
/** In its first moment video goes back at once: after a start during a stall it is seconds behind. */
const AT_ONCE_MS = 1000;
/** For how long a packet shows the present delay of a track, at most twice. */
const RECENT_MS = 500;
/** A track without a new timestamp for this time has paused. What its reports say is not known until it goes on. */
const PAUSED_MS = 1000;
/** Packet lengths that differ by less have no influence, in milliseconds. */
const MIN_LENGTH_CHANGE_MS = 15;

/** The delay of the tracks at the time of a report. */
interface Delays {
  readonly ownMs: number;
  readonly otherMs: number | undefined;
}

/**
 * Maps one track's RTP timestamps to the time of the stream. "Media time" belongs to the track: see {@link RtpTimeline}.
 * A slewed offset converts it to local time.
 */
export class TrackClock {
  readonly kind: TrackKind;
  readonly #timeline: Timeline;
  readonly #clockRate: number;
  #rtp: RtpTimeline;
  #pause = new PauseJudge();
  #delay = new MinimumWindow();
  #recent = new MinimumWindow(RECENT_MS);
  #reports = new ReportWindow();
  #check = new ReportCheck();
  #pendingReport: (SenderReportTimes & { readonly atMs: number }) | undefined;
  /** The delays at the last report that showed no step. */
  reportedDelays: Delays | undefined;
  /** When the last report came. */
  reportedMs = -Infinity;
  /** The time between reports. */
  reportEveryMs = 0;
  /** How late the track was when reports ended. */
  knownDelayMs = 0;
  /** How much later than its only report says the track is taken to be, as arrivals show. */
  assumedMs = 0;
  /** When a report last showed no step. */
  confirmedMs = -Infinity;
  /** Where the clock has placed media time, on the publisher's wall clock or on the local one. */
  placedMs: number | undefined;
  /** Since when, and how much, the track has been late without being known to be. */
  late: { readonly sinceMs: number; readonly byMs: number } | undefined;
  #lastArrival: { readonly nowMs: number; readonly timestamp: number } | undefined;
  #beganMs = -Infinity;
  /** When the timestamps last changed. */
  #steppedMs = -Infinity;
  /** When they last advanced. */
  #advancedMs = -Infinity;
  #largestMs = -Infinity;
  #lengthMs = 0;
  #reportedLengthMs: number | undefined;
  /** Whether reports relate the timestamp of a packet's first sample to the moment when it is sent, as browsers do. */
  #reportsSending = false;
  #offsetMs: number | undefined;
  /** The latest media time that was converted: the offset has been slewed up to it. */
  #positionMs = -Infinity;
  /** The one before it. */
  #before: { readonly mediaMs: number; readonly streamMs: number } | undefined;
  /** The part of the shared movement that is in the offset. */
  #sharedMs = 0;
  #lastStreamMs: number;

  /**
   * Made by {@link MediaClock.track}.
   *
   * @param floorMs no earlier stream time is returned
   */
  constructor(timeline: Timeline, kind: TrackKind, clockRate: number, floorMs: number) {
    this.#timeline = timeline;
    this.kind = kind;
    this.#clockRate = clockRate;
    this.#rtp = this.#newTimeline();
    this.#lastStreamMs = floorMs;
  }

  /** The latest time that was returned. */
  get lastStreamMs(): number {
    return this.#lastStreamMs;
  }

  /** The smallest difference between local time and media time in the last seconds; `undefined` before the first packet. */
  get arrivalOffsetMs(): number | undefined {
    return this.#rtp.hasBegun ? this.#delay.minimum : undefined;
  }

  /** The same, at present. */
  get recentOffsetMs(): number {
    return this.#recent.minimum;
  }

  /** The publisher's wall clock minus media time, by its reports. */
  get ntpOffsetMs(): number | undefined {
    return this.#reports.relation(this.#advancedMs, this.#timeline.noiseMs(this))?.ms;
  }

  get reports(): ReportWindow {
    return this.#reports;
  }

  get offsetMs(): number | undefined {
    return this.#offsetMs;
  }

  /** A frame is at most so long before one that was sent earlier. */
  get reorderMs(): number {
    return this.#rtp.reorderMs;
  }

  get beganMs(): number {
    return this.#beganMs;
  }

  isStale(nowMs: number): boolean {
    return this.#delay.isStale(nowMs);
  }

  hasPaused(nowMs: number): boolean {
    return nowMs - this.#advancedMs > PAUSED_MS;
  }

  /**
   * Whether it is not known yet if the timestamps stood still in a pause or the network did; for a moment only. Packets
   * that are converted before it is known are late.
   */
  isUndecided(nowMs: number): boolean {
    this.#decide(nowMs);
    return this.#pause.isUndecided;
  }

  /** Called for each packet before its timestamp is converted. */
  arrival(timestamp: number, nowMs: number, place: PacketDetails = NO_DETAILS, sequenceNumber?: number): void {
    // Most packets of a frame arrive together, and only the first one is informative.
    const last = this.#lastArrival;
    if (nowMs === last?.nowMs && timestamp === last.timestamp) return;
    this.#lastArrival = { nowMs, timestamp };
    this.#timeline.observe(nowMs);
    const { largest } = this.#rtp;
    const { lengthMs = 0 } = place;
    const expectedMs = nowMs - this.#delay.minimum - lengthMs;
    const seen = this.#rtp.arrive(timestamp, nowMs, expectedMs, place.order, sequenceNumber);
    if (seen === 'old') return;
    this.#lengthMs = lengthMs;
    if (seen === 'restarts') this.#restarted(nowMs);
    const mediaMs = this.#rtp.mediaMs(timestamp);
    const waitedMs = lengthMs + this.#rtp.durationMs(place.framesLate ?? 0);
    if (seen === 'begins') this.#beganMs = nowMs;
    else {
      const lateMs = nowMs - this.#delay.minimum - mediaMs - waitedMs;
      const first = seen === 'continues' ? (largest! + 1) >>> 0 : timestamp;
      const reorderMs = place.framesLate === undefined ? this.#rtp.reorderedMs : 0;
      // How late B-frames are is not known exactly where others are missing.
      const unsureMs = this.#rtp.reorderedMs > 0 ? this.#rtp.durationMs(this.#rtp.missingBefore) : 0;
      const pauseMs = nowMs - this.#steppedMs;
      this.#pause.advance(first, nowMs, { lateMs: lateMs - unsureMs, pauseMs, reorderMs });
      if (seen === 'continues') this.#decide(nowMs);
    }
    const isNew = timestamp !== last?.timestamp;
    if (isNew) this.#steppedMs = nowMs;
    const placedMs = this.#rtp.mediaMs(timestamp);
    if (placedMs > this.#largestMs || (isNew && place.framesLate)) this.#advancedMs = nowMs;
    this.#largestMs = Math.max(this.#largestMs, placedMs);
    const delayMs = nowMs - placedMs - waitedMs;
    const { minimum } = this.#delay;
    // Frames that have not waited for others show the least delay.
    this.#delayed(place.framesLate && minimum < Infinity ? Math.max(delayMs, minimum) : delayMs, nowMs);
    if (this.#pendingReport && !this.#pause.isUndecided) this.#apply(this.#pendingReport);
  }

  /** Called for each packet of which another one of its frame says when it was captured. */
  skip(sequenceNumber: number): void {
    this.#rtp.skip(sequenceNumber);
  }

  #delayed(delayMs: number, nowMs: number): void {
    if (delayMs < this.#delay.minimum) this.#timeline.outdated();
    this.#delay.add(delayMs, nowMs);
    this.#recent.add(delayMs, nowMs);
  }

  senderReport(report: SenderReportTimes, nowMs: number): void {
    this.#timeline.observe(nowMs);
    // The next packet shows whether timestamps still advance: in a pause, reports relate time to media that stands still.
    this.#pendingReport = { ...report, ntpMs: report.ntpMs - this.#staleMs(report, nowMs), atMs: nowMs };
  }

  /**
   * How long before its report the timestamp was current. Many telephones repeat the timestamp of the last packet
   * instead of the one of the moment, which is wrong by the time between two frames.
   */
  #staleMs({ ntpMs, rtpTimestamp }: SenderReportTimes, nowMs: number): number {
    const laterMs = this.#timeline.reportedLaterMs(this.kind, nowMs - ntpMs);
    if (rtpTimestamp !== this.#lastArrival?.timestamp) return 0;
    const stoodMs = nowMs - this.#steppedMs;
    // Otherwise the time of the report is the one at which the frame was captured.
    return laterMs < stoodMs / 2 ? stoodMs : 0;
  }

  /**
   * Milliseconds since the stream's start, with fractions. Never decreases: for an older timestamp, and before the
   * first packet, it is the latest time that was returned.
   */
  toStreamMs(rtpTimestamp: number): number {
    if (!this.#rtp.hasBegun) return this.#lastStreamMs;
    const mediaMs = this.#rtp.mediaMs(rtpTimestamp);
    if (mediaMs > this.#positionMs) {
      this.#slewTo(mediaMs);
      if (this.#positionMs > -Infinity) this.#before = { mediaMs: this.#positionMs, streamMs: this.#lastStreamMs };
      this.#positionMs = mediaMs;
      this.#lastStreamMs = Math.max(this.#lastStreamMs, mediaMs + this.#offsetMs! - this.#timeline.originMs);
    }
    return this.#lastStreamMs;
  }

  /**
   * When the media of a timestamp is to be presented, on the same clock as {@link toStreamMs}: for frames whose
   * timestamps are not in order, it is before the latest time that was returned.
   */
  presentationMs(rtpTimestamp: number): number {
    const latestMs = this.toStreamMs(rtpTimestamp);
    const mediaMs = this.#rtp.hasBegun ? this.#rtp.mediaMs(rtpTimestamp) : this.#positionMs;
    const behindMs = this.#positionMs - mediaMs;
    // Where timestamps have just restarted, a frame before the first one seems to belong to those before.
    if (!(behindMs > 0 && behindMs <= this.reorderMs)) return latestMs;
    const before = this.#before;
    if (!before) return latestMs - behindMs;
    if (mediaMs < before.mediaMs) return before.streamMs - (before.mediaMs - mediaMs);
    // A correction between two frames is shared by those that are shown between them.
    return latestMs - (behindMs * (latestMs - before.streamMs)) / (this.#positionMs - before.mediaMs);
  }

  /**
   * The source restarts with other timestamps and another clock. What follows is placed by the local clock.
   *
   * @param floorMs what follows is not placed before this stream time
   */
  restart(floorMs = 0): void {
    this.#rtp = this.#newTimeline();
    this.#pause = new PauseJudge();
    this.#delay = new MinimumWindow();
    this.#recent = new MinimumWindow(RECENT_MS);
    this.#reports = new ReportWindow();
    this.#check = new ReportCheck();
    this.reportedDelays = undefined;
    this.reportEveryMs = 0;
    this.knownDelayMs = 0;
    this.assumedMs = 0;
    this.placedMs = undefined;
    this.late = undefined;
    this.#pendingReport = undefined;
    this.#advancedMs = -Infinity;
    this.#largestMs = -Infinity;
    this.#offsetMs = undefined;
    this.#positionMs = -Infinity;
    this.#before = undefined;
    this.#lastStreamMs = Math.max(this.#lastStreamMs, floorMs);
  }

  /** The track is later or earlier than before for good: earlier packets say nothing about its delay. */
  forgetDelays(): void {
    this.#delay.forget(this.#recent.minimum);
    this.late = undefined;
  }

  /** The track is later by `byMs` than it was, as reports show. */
  shiftDelays(byMs: number): void {
    this.#delay.shift(byMs);
  }

  #newTimeline(): RtpTimeline {
    return new RtpTimeline({ clockRate: this.#clockRate, reorders: this.kind === 'video' });
  }

  #decide(nowMs: number): void {
    const stoodStill = this.#pause.decide(nowMs);
    if (!stoodStill) return;
    this.#rtp.shift(stoodStill.timestamp, stoodStill.lateMs);
    this.#restarted(nowMs);
  }

  #restarted(nowMs: number): void {
    this.#pause = new PauseJudge();
    this.#pendingReport = undefined;
    this.#reports.restart(nowMs, this.#timeline.noiseMs(this));
    this.#recent = new MinimumWindow(RECENT_MS);
    this.#recent.add(this.#delay.minimum, nowMs);
    this.late = undefined;
  }

  #apply({ ntpMs, rtpTimestamp, atMs }: SenderReportTimes & { readonly atMs: number }): void {
    this.#pendingReport = undefined;
    const mediaMs = this.#rtp.mediaMs(rtpTimestamp);
    const were = this.#check.areUseless;
    if (!this.#check.take(ntpMs, atMs, this.#largestMs - mediaMs)) {
      if (this.#check.areUseless && !were) this.#forgetReports();
      return;
    }
    const offsetMs = ntpMs - mediaMs;
    this.#timeline.reported(this, offsetMs - this.#lengthInReport(offsetMs));
  }

  /** Those that were believed were wrong, too. */
  #forgetReports(): void {
    this.#reports = new ReportWindow();
    this.reportedDelays = undefined;
    this.reportedMs = -Infinity;
    this.reportEveryMs = 0;
    this.assumedMs = 0;
    this.#timeline.placeAnew();
  }

  /** The part of a report that is due to the length of packets having changed since the first one. */
  #lengthInReport(offsetMs: number): number {
    this.#reportedLengthMs ??= this.#lengthMs;
    const changeMs = this.#lengthMs - this.#reportedLengthMs;
    const noiseMs = this.#timeline.noiseMs(this);
    const relation = this.#reports.relation(this.#advancedMs, noiseMs);
    if (!this.#reportsSending && relation && Math.abs(changeMs) >= MIN_LENGTH_CHANGE_MS && noiseMs < 5)
      this.#reportsSending = Math.abs(offsetMs - relation.ms - changeMs) < Math.abs(changeMs) / 4;
    return this.#reportsSending ? changeMs : 0;
  }

  #slewTo(mediaMs: number): void {
    const target = this.#timeline.targetOffset(this);
    const { sharedMs } = this.#timeline;
    const moved = sharedMs - this.#sharedMs;
    this.#sharedMs = sharedMs;
    if (this.#offsetMs === undefined) {
      const earliest = this.#timeline.originMs + this.#lastStreamMs - mediaMs;
      this.#offsetMs = Math.max(target, earliest);
      return;
    }
    this.#offsetMs += moved;
    const error = target - this.#offsetMs;
    const elapsedMs = mediaMs - this.#positionMs;
    if (Math.abs(error) <= SLEWED_MS) this.#offsetMs += within(error, this.#slew(error) * elapsedMs);
    else if (error > 0 || this.kind === 'audio' || this.#lastArrival!.nowMs - this.#beganMs < AT_ONCE_MS)
      this.#offsetMs = target;
    else this.#offsetMs += within(error, VIDEO_CATCH_UP * elapsedMs);
  }

  #slew(error: number): number {
    return this.kind === 'audio' && Math.abs(error) > AUDIO_FAR_MS ? AUDIO_FAR_SLEW : SLEW[this.kind];
  }
}

const within = (value: number, limit: number): number => Math.min(Math.max(value, -limit), limit);
