import { MinimumWindow } from './minimum-window.ts';

/** One RTCP sender report of the publisher (RFC 3550, 6.4.1). */
export interface SenderReportTimes {
  /** Milliseconds on the publisher's wall clock. */
  readonly ntpMs: number;
  /** The same instant on the track's RTP clock, 32 bits. */
  readonly rtpTimestamp: number;
}

/** What a track must know of the stream that it belongs to. */
export interface Timeline {
  /** Our time, in milliseconds, at which the stream's time is 0. */
  readonly originMs: number;
  /**
   * What to add to the track's media time to get our time, as well as it is known now; `undefined` while it is better to leave all as it is.
   */
  targetOffset(track: TrackClock): number | undefined;
  /** By how much all tracks have been moved together so far: a track adds each change at once. */
  readonly sharedMs: number;
  /** To be called when a report is the first one, of a track or of timestamps that have begun anew. */
  relateAnew(): void;
  /** To be called when a report puts a track so many milliseconds later: something of it is missing, or the publisher's wall clock was set forward. */
  putLater(byMs: number): void;
  /** The publisher's wall clock was set back by so many milliseconds, as a track's report has told: it is the clock of all tracks. */
  setBack(byMs: number): void;
  /** Tells our time. */
  observe(nowMs: number): void;
}

/** How errors of a track's time are corrected. */
export interface Correction {
  /** Time is stretched or squeezed by no more than this share. */
  readonly slew: number;
  /** Milliseconds of ours from the track's beginning, or from a report of a loss, in which a large error is corrected at once. */
  readonly settleMs: number;
}

/** A run of RTP timestamps that count on from each other. */
interface Segment {
  /** The latest timestamp so far, and how many ticks it lies behind the segment's start. */
  timestamp: number;
  ticks: number;
  /** Media time of the segment's start. */
  readonly startMs: number;
}

/** A larger error is corrected at once, if forwards. */
const JUMP_MS = 1000;
/** What is corrected at once while a track settles: lips that are out of sync by more are noticed. */
const SETTLE_JUMP_MS = 60;
/** Timestamps that leap further ahead of our clock have begun anew: no packet is a second faster than the fastest before it. */
const LEAP_FORWARD_MS = 1000;
/**
 * Timestamps that leap further back have begun anew; a retransmission is never so old. Clearly more than the leap forward, so that if one
 * is nevertheless, the packet after it is seen to leap forward again.
 */
const LEAP_BACK_MS = 4000;
/**
 * After a pause packets are late by as much when the source stood still and its timestamps with it, as those of sound do in browsers, or when the network did. The network then
 * gives what it held faster than it was made; who has seen for a moment that it does not, need not wait for a report.
 */
const PAUSE_MS = 1000;
const AFTER_PAUSE_MS = 500;
const CATCH_UP_MS = 100;
/**
 * Reports that agree this well differ by their own inaccuracy, and are averaged; others tell of a step and are believed. Chromium's differ by
 * a millisecond, except where it has lost sound because its machine was busy: 60 to 150 ms, all of which the next report tells.
 */
const REPORT_STEP_MS = 40;
/** The weight of a new report in the average: half the noise goes, and a drift of 100 ppm lags by no more than 1 ms. */
const REPORT_WEIGHT = 1 / 2;

/**
 * Maps one track's RTP timestamps to the time of the stream. "Media time" is the track's own: it counts on without wrapping and begins
 * at our time of the first packet; an offset that is slewed leads from it to our time.
 */
export class TrackClock {
  readonly #timeline: Timeline;
  readonly #ticksPerMs: number;
  readonly #correction: Correction;
  #segment: Segment | undefined;
  /** The segment before the last discontinuity, for packets that were still on their way through the reorder buffer. */
  #segmentBefore: Segment | undefined;
  /** When the last packet arrived. */
  #arrivedMs = -Infinity;
  /** After a pause, while it is not known what stood still: our time, and how late the packet of then was. */
  #afterPause: { readonly nowMs: number; readonly lateMs: number } | undefined;
  #delay = new MinimumWindow();
  #ntpOffsetMs: number | undefined;
  /** The next report is believed whatever it says: timestamps have begun anew since the last one. */
  #ntpOffsetIsOld = false;
  #pendingReport: SenderReportTimes | undefined;
  /** {@link arrivalOffsetMs} when the last report came. */
  #reportedArrivalMs = 0;
  #offsetMs: number | undefined;
  /** The latest media time that was converted: up to it the offset has been slewed. */
  #positionMs = -Infinity;
  /** Until then, by our clock, large errors are corrected at once; by the track's own, a burst would be over before it is corrected. */
  #settledMs = -Infinity;
  /** What of the shared movement is in the offset. */
  #sharedMs = 0;
  #lastStreamMs: number;

  /**
   * Made by {@link MediaClock.track}.
   *
   * @param floorMs no time of the stream before it will be given out
   */
  constructor(timeline: Timeline, clockRate: number, correction: Correction, floorMs: number) {
    this.#timeline = timeline;
    this.#ticksPerMs = clockRate / 1000;
    this.#correction = correction;
    this.#lastStreamMs = floorMs;
  }

  /** The latest time that was given out. */
  get lastStreamMs(): number {
    return this.#lastStreamMs;
  }

  /** The smallest difference of late between our time and media time; `undefined` before the first packet. */
  get arrivalOffsetMs(): number | undefined {
    return this.#segment ? this.#delay.minimum : undefined;
  }

  /** The publisher's wall clock minus media time, by its reports. */
  get ntpOffsetMs(): number | undefined {
    return this.#ntpOffsetMs;
  }

  /** The publisher's wall clock was set back by so many milliseconds. */
  setBack(byMs: number): void {
    if (this.#ntpOffsetMs !== undefined) this.#ntpOffsetMs -= byMs;
  }

  isStale(nowMs: number): boolean {
    return this.#delay.isStale(nowMs);
  }

  /** To be told of every packet, before its timestamp is converted. */
  arrival(rtpTimestamp: number, nowMs: number): void {
    const segment = this.#segment;
    // Most packets of a frame come together, and tell no more than the first of them.
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

  /** Whether the timestamps stood still in the last pause; tells it once, as soon as it shows. */
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
    // Without a packet there is nothing to relate it to yet.
    if (this.#segment) this.#apply(report);
    else this.#pendingReport = report;
  }

  /**
   * Milliseconds since the stream's start, with fractions. Never goes back: for an older timestamp than before, and before the first
   * packet, it is the latest time that was given out.
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
   * The source begins anew: other timestamps, another clock. What follows is placed by our clock.
   *
   * @param floorMs nothing that follows comes before this time of the stream
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
    // Where timestamps have leapt ahead, packets come sooner by as much. Where they do not, the wall clock was set back. The other tracks will tell
    // it too, but seconds later, and would stand apart from this one until then.
    if (change < -REPORT_STEP_MS && soonerMs < -change / 2) return this.#timeline.setBack(-change);
    if (isNew) this.#timeline.relateAnew();
    if (change > REPORT_STEP_MS) this.#timeline.putLater(change);
    // The delays of the packets of before cannot be told by a relation that no longer holds.
    if (Math.abs(change) > REPORT_STEP_MS) this.#delay.forget();
    // Something of the source is missing, and was heard to be missing: as at the beginning, a hole is better than lips that are out of sync.
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

/** The distance between two 32-bit timestamps by the shorter way round. */
function signed32(difference: number): number {
  return difference | 0;
}
