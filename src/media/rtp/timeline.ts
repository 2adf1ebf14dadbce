import type { TrackClock } from './track-clock.ts';

export type TrackKind = 'audio' | 'video';

/** One RTCP sender report of the publisher (RFC 3550, 6.4.1). */
export interface SenderReportTimes {
  /** Milliseconds on the publisher's wall clock. */
  readonly ntpMs: number;
  /** The same instant on the track's RTP clock, 32 bits. */
  readonly rtpTimestamp: number;
}

/** What is known of a packet besides its timestamp. */
export interface PacketDetails {
  /**
   * Where its frame is in the order of presentation, in frames. `undefined`: not known, or said by another packet of the
   * frame.
   */
  readonly order?: number | undefined;
  /** How many frames later than captured it is sent, compared with others, because it waits for frames to refer to. */
  readonly framesLate?: number | undefined;
  /** Milliseconds of media in the packet: it is sent when the last of it has been captured. */
  readonly lengthMs?: number;
}

export const NO_DETAILS: PacketDetails = {};

/** What a track needs to know about its stream. */
export interface Timeline {
  /** Local time in milliseconds at which the stream's time is 0. */
  readonly originMs: number;
  /** The current estimate of local time minus the track's media time. */
  targetOffset(track: TrackClock): number;
  /** How far all tracks have been moved together so far: each track adds a change at once. */
  readonly sharedMs: number;
  /** The error of a single report, as standard deviation. */
  noiseMs(track: TrackClock): number;
  /** Called for each report, with the publisher's wall clock minus media time. */
  reported(track: TrackClock, offsetMs: number): void;
  /**
   * Called for each report before anything else.
   *
   * @param delayMs local time minus the report's time
   * @returns how much larger that is than at the last report of the other track
   */
  reportedLaterMs(kind: TrackKind, delayMs: number): number;
  /** Called when the reports of a track turn out to be wrong: tracks are placed as they arrive. */
  placeAnew(): void;
  /** Passes on the local time. */
  observe(nowMs: number): void;
  /** Called when a packet was faster than all before. */
  outdated(): void;
}
