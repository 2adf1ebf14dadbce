import { MinimumWindow } from './minimum-window.ts';

/** One RTCP sender report of the publisher (RFC 3550, 6.4.1). */
export interface SenderReportTimes {
  /** Milliseconds on the publisher's wall clock. */
  readonly ntpMs: number;
  /** The same instant on the track's RTP clock, 32 bits. */
  readonly rtpTimestamp: number;
}

/** What a track needs to know about its stream. */
export interface Timeline {
  /** Local time in milliseconds at which the stream's time is 0. */
  readonly originMs: number;
  /**
   * The current estimate of local time minus the track's media time; `undefined` while the offset is to stay as it is.
   */
  targetOffset(track: TrackClock): number | undefined;
  /** How far all tracks have been moved together so far: each track adds a change at once. */
  readonly sharedMs: number;
  /** Called for the first report of a track, or after its timestamps have restarted. */
  relateAnew(): void;
  /**
   * Called when a report places a track later, in milliseconds: media is missing, or the publisher's wall clock was set
   * forward.
   */
  putLater(byMs: number): void;
  /**
   * Called when a track's report shows that the publisher's wall clock, which all tracks share, was set back, in
   * milliseconds.
   */
  setBack(byMs: number): void;
  /** Passes on the local time. */
  observe(nowMs: number): void;
}

/** How errors of a track's time are corrected. */
export interface Correction {
  /** Time is stretched or compressed by at most this fraction. */
  readonly slew: number;
  /**
   * Local milliseconds after the track's beginning, or after a report of a loss, in which a large error is corrected at
   * once.
   */
  readonly settleMs: number;
}

/** A run of continuous RTP timestamps. */
interface Segment {
  /** The latest timestamp, and its distance from the segment's start in ticks. */
  timestamp: number;
  ticks: number;
  /** Media time of the segment's start. */
  readonly startMs: number;
}

/** A larger error is corrected at once, if forwards. */
const JUMP_MS = 1000;
/** A larger error is corrected at once while a track settles: it is a noticeable lip-sync error. */
const SETTLE_JUMP_MS = 60;
/**
 * Timestamps that are further ahead of the local clock have restarted: no packet is a second faster than the fastest
 * one before it.
 */
const LEAP_FORWARD_MS = 1000;
/**
 * Timestamps that are further back have restarted; a retransmission is never that old. Clearly more than the limit
 * forwards: if one is nevertheless, the next packet is recognized as a jump forwards again.
 */
const LEAP_BACK_MS = 4000;
/**
 * After a pause, packets are late either because the source and its timestamps stood still, as audio does in browsers,
 * or because the network stalled. A network then delivers what it held back faster than real time. If it does not for
 * this time, there is no need to wait for a report.
 */
const PAUSE_MS = 1000;
const AFTER_PAUSE_MS = 500;
const CATCH_UP_MS = 100;
/**
 * Reports that differ by less are inaccurate, and are averaged. Others indicate a step and are used directly.
 * Chromium's reports differ by about a millisecond, except when it has lost audio because its machine was busy: 60 to
 * 150 ms, which the next report contains completely.
 */
const REPORT_STEP_MS = 40;
/** The weight of a new report in the average: halves the noise, and a drift of 100 ppm lags by at most 1 ms. */
const REPORT_WEIGHT = 1 / 2;

/**
 * Maps one track's RTP timestamps to the time of the stream. "Media time" belongs to the track: it does not wrap, and
 * begins at the local time of the first packet. A slewed offset converts it to local time.
 */
export class TrackClock {
  readonly #timeline: Timeline;
  readonly #ticksPerMs: number;
  readonly #correction: Correction;
  #segment: Segment | undefined;
  /** The segment before the last discontinuity, for packets that were still in the reorder buffer. */
  #segmentBefore: Segment | undefined;
  /** When the last packet arrived. */
  #arrivedMs = -Infinity;
  /** After a pause, until it is known what stood still: the local time, and how late that packet was. */
  #afterPause: { readonly nowMs: number; readonly lateMs: number } | undefined;
  #delay = new MinimumWindow();
  #ntpOffsetMs: number | undefined;
  /** The next report is used directly: timestamps have restarted since the last one. */
  #ntpOffsetIsOld = false;
  #pendingReport: SenderReportTimes | undefined;
  /** {@link arrivalOffsetMs} at the last report. */
  #reportedArrivalMs = 0;
  #offsetMs: number | undefined;
  /** The latest media time that was converted: the offset has been slewed up to it. */
  #positionMs = -Infinity;
  /**
   * Until this local time large errors are corrected at once. Not media time: a burst would end it before it is
   * corrected.
   */
  #settledMs = -Infinity;
  /** The part of the shared movement that is in the offset. */
  #sharedMs = 0;
  #lastStreamMs: number;

  /**
   * Made by {@link MediaClock.track}.
   *
   * @param floorMs no earlier stream time is returned
   */
  constructor(timeline: Timeline, clockRate: number, correction: Correction, floorMs: number) {
    this.#timeline = timeline;
    this.#ticksPerMs = clockRate / 1000;
    this.#correction = correction;
    this.#lastStreamMs = floorMs;
  }

  /** The latest time that was returned. */
  get lastStreamMs(): number {
    return this.#lastStreamMs;
  }

  /** The smallest recent difference between local time and media time; `undefined` before the first packet. */
  get arrivalOffsetMs(): number | undefined {
    return this.#segment ? this.#delay.minimum : undefined;
  }

  /** The publisher's wall clock minus media time, by its reports. */
  get ntpOffsetMs(): number | undefined {
    return this.#ntpOffsetMs;
  }

  /** The publisher's wall clock was set back, in milliseconds. */
  setBack(byMs: number): void {
    if (this.#ntpOffsetMs !== undefined) this.#ntpOffsetMs -= byMs;
  }

  isStale(nowMs: number): boolean {
    return this.#delay.isStale(nowMs);
  }

  /** Called for each packet before its timestamp is converted. */
  arrival(rtpTimestamp: number, nowMs: number): void {
    const segment = this.#segment;
    // Most packets of a frame arrive together, and only the first one is informative.
    if (nowMs === this.#arrivedMs && segment?.timestamp === rtpTimestamp) return;
    const pauseMs = nowMs - this.#arrivedMs;
    this.#arrivedMs = nowMs;
    this.#timeline.observe(nowMs);
    if (!segment) {
      this.#segment = { timestamp: rtpTimestamp, ticks: 0, startMs: nowMs };
      this.#delay.add(0, nowMs);
      if (this.#pendingReport) this.#apply(this.#pendingReport);
      return;
    }
    const ticks = signed32(rtpTimestamp - segment.timestamp);
    const mediaMs = this.#mediaMs(segment, rtpTimestamp);
    const expectedMs = nowMs - this.#delay.minimum;
    if (pauseMs > PAUSE_MS) this.#afterPause = { nowMs, lateMs: expectedMs - mediaMs };
    if (
      ticks / this.#ticksPerMs < -LEAP_BACK_MS ||
      mediaMs - expectedMs > LEAP_FORWARD_MS ||
      (ticks > 0 && this.#stoodStill(expectedMs - mediaMs, nowMs))
    ) {
      const startMs = Math.max(this.#mediaMs(segment, segment.timestamp), expectedMs);
      this.#segmentBefore = segment;
      this.#segment = { timestamp: rtpTimestamp, ticks: 0, startMs };
      this.#ntpOffsetIsOld = true;
      this.#delay.add(nowMs - startMs, nowMs);
      return;
    }
    if (ticks > 0) {
      segment.timestamp = rtpTimestamp;
      segment.ticks += ticks;
      if (segment.ticks / this.#ticksPerMs > LEAP_BACK_MS) this.#segmentBefore = undefined;
    }
    this.#delay.add(nowMs - mediaMs, nowMs);
  }

  /** Whether the timestamps stood still in the last pause; returned once, as soon as it is certain. */
  #stoodStill(lateMs: number, nowMs: number): boolean {
    const seen = this.#afterPause;
    if (!seen || nowMs - seen.nowMs < AFTER_PAUSE_MS) return false;
    const isLate = lateMs > PAUSE_MS;
    const catchesUp = seen.lateMs - lateMs > CATCH_UP_MS;
    this.#afterPause = isLate && catchesUp ? { nowMs, lateMs } : undefined;
    return isLate && !catchesUp;
  }

  senderReport(report: SenderReportTimes, nowMs: number): void {
    this.#timeline.observe(nowMs);
    // Without a packet there is nothing to relate the report to.
    if (this.#segment) this.#apply(report);
    else this.#pendingReport = report;
  }

  /**
   * Milliseconds since the stream's start, with fractions. Never decreases: for an older timestamp, and before the
   * first packet, it is the latest time that was returned.
   */
  toStreamMs(rtpTimestamp: number): number {
    if (!this.#segment) return this.#lastStreamMs;
    const mediaMs = this.#mediaMs(this.#nearestSegment(rtpTimestamp), rtpTimestamp);
    if (mediaMs > this.#positionMs) {
      this.#slewTo(mediaMs);
      this.#positionMs = mediaMs;
      this.#lastStreamMs = Math.max(this.#lastStreamMs, mediaMs + this.#offsetMs! - this.#timeline.originMs);
    }
    return this.#lastStreamMs;
  }

  /**
   * The source restarts with other timestamps and another clock. What follows is placed by the local clock.
   *
   * @param floorMs what follows is not placed before this stream time
   */
  restart(floorMs = 0): void {
    this.#segment = undefined;
    this.#segmentBefore = undefined;
    this.#afterPause = undefined;
    this.#delay = new MinimumWindow();
    this.#ntpOffsetMs = undefined;
    this.#ntpOffsetIsOld = false;
    this.#pendingReport = undefined;
    this.#offsetMs = undefined;
    this.#positionMs = -Infinity;
    this.#lastStreamMs = Math.max(this.#lastStreamMs, floorMs);
  }

  #apply(report: SenderReportTimes): void {
    this.#pendingReport = undefined;
    const offsetMs = report.ntpMs - this.#mediaMs(this.#nearestSegment(report.rtpTimestamp), report.rtpTimestamp);
    const isNew = this.#ntpOffsetIsOld || this.#ntpOffsetMs === undefined;
    const change = isNew ? 0 : offsetMs - this.#ntpOffsetMs!;
    const soonerMs = this.#reportedArrivalMs - this.#delay.minimum;
    this.#reportedArrivalMs = this.#delay.minimum;
    // If timestamps have jumped forwards, packets arrive earlier by the same amount. If they do not, the wall clock was
    // set back. The other tracks will report that too, but seconds later, and would be out of sync until then.
    if (change < -REPORT_STEP_MS && soonerMs < -change / 2) return this.#timeline.setBack(-change);
    if (isNew) this.#timeline.relateAnew();
    if (change > REPORT_STEP_MS) this.#timeline.putLater(change);
    // The relation no longer holds for the delays of earlier packets.
    if (Math.abs(change) > REPORT_STEP_MS) this.#delay.forget();
    // Media of the source is missing, audibly. As at the beginning, a gap is better than a lip-sync error.
    if (change > REPORT_STEP_MS) this.#settledMs = this.#arrivedMs + this.#correction.settleMs;
    this.#ntpOffsetMs = Math.abs(change) > REPORT_STEP_MS ? offsetMs : offsetMs - change * (1 - REPORT_WEIGHT);
    this.#ntpOffsetIsOld = false;
  }

  #slewTo(mediaMs: number): void {
    const target = this.#timeline.targetOffset(this);
    const { sharedMs } = this.#timeline;
    const moved = sharedMs - this.#sharedMs;
    this.#sharedMs = sharedMs;
    if (this.#offsetMs === undefined) {
      const earliest = this.#timeline.originMs + this.#lastStreamMs - mediaMs;
      this.#offsetMs = Math.max(target ?? 0, earliest);
      this.#settledMs = this.#arrivedMs + this.#correction.settleMs;
      return;
    }
    this.#offsetMs += moved;
    if (target === undefined) return;
    const error = target - this.#offsetMs;
    const limit = this.#correction.slew * (mediaMs - this.#positionMs);
    const atOnce = error > JUMP_MS || (this.#arrivedMs < this.#settledMs && Math.abs(error) > SETTLE_JUMP_MS);
    this.#offsetMs = atOnce ? target : this.#offsetMs + Math.min(Math.max(error, -limit), limit);
  }

  #mediaMs(segment: Segment, rtpTimestamp: number): number {
    return segment.startMs + (segment.ticks + signed32(rtpTimestamp - segment.timestamp)) / this.#ticksPerMs;
  }

  #nearestSegment(rtpTimestamp: number): Segment {
    const segment = this.#segment!;
    const before = this.#segmentBefore;
    if (!before) return segment;
    const distance = (to: Segment): number => Math.abs(signed32(rtpTimestamp - to.timestamp));
    return distance(segment) <= distance(before) ? segment : before;
  }
}

/** The signed distance between two 32-bit timestamps. */
function signed32(difference: number): number {
  return difference | 0;
}
