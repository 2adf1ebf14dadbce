import { MediaClock, type TrackClock, type TrackKind } from '../../src/media/rtp/media-clock.ts';

export const RATES = { audio: 48_000, video: 90_000 } as const;
/**
 * Before this time, large errors are corrected at once: the first reports come within 5 s, and one that contradicts
 * arrivals by less than bad reports do is believed after 1.4 s (`DOUBT_MS`); both are delayed by the network.
 */
export const SETTLED_MS = 7000;
export const INTERVALS = { audio: 20, video: 1000 / 30 } as const;

export interface Source {
  /** Offset of the publisher's wall clock. */
  ntpOffsetMs: number;
  /** How much faster the publisher's wall clock runs than ours. */
  ntpDrift: number;
  /** How much faster each track's RTP clock runs than the publisher's wall clock. */
  rtpDrift: Record<TrackKind, number>;
  rtpStart: Record<TrackKind, number>;
  /** Minimum delay from capture to arrival. */
  delayMs: Record<TrackKind, number>;
  jitterMs: number;
  /** Additional delay of the first packet. */
  heldUpMs?: Record<TrackKind, number>;
  reportNoiseMs: number;
  firstReportMs: Record<TrackKind, number>;
}

export const plain: Source = {
  ntpOffsetMs: 3.9e12,
  ntpDrift: 0,
  rtpDrift: { audio: 0, video: 0 },
  rtpStart: { audio: 12_345, video: 99_999 },
  delayMs: { audio: 20, video: 70 },
  jitterMs: 0,
  reportNoiseMs: 0,
  firstReportMs: { audio: 2400, video: 400 },
};

/** A publisher and its network. Both tracks capture the same instants; times are the gateway's, in milliseconds. */
export class Simulation {
  readonly source: Source;
  readonly clock = new MediaClock();
  readonly tracks: Record<TrackKind, TrackClock>;
  readonly random: () => number;
  /** For each track: stream time minus true capture time, at the latest packet. */
  readonly offset = { audio: NaN, video: NaN };
  readonly last = { audio: 0, video: 0 };
  monotonic = true;
  /** Largest step of stream time between two packets of each track, in excess of the capture interval, after settling. */
  readonly largestJumpMs = { audio: 0, video: 0 };
  /** Arrival of the last packet of each track: packets do not overtake each other when the delay changes. */
  #arrived = { audio: 0, video: 0 };
  #captured = { audio: 0, video: 0 };
  #reported = { audio: 0, video: 0 };

  constructor(source: Source, seed = 1) {
    this.source = source;
    this.tracks = { audio: this.clock.track('audio', RATES.audio), video: this.clock.track('video', RATES.video) };
    let state = seed >>> 0;
    this.random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    this.#reported = { audio: source.firstReportMs.audio - 5000, video: source.firstReportMs.video - 5000 };
  }

  rtpAt(kind: TrackKind, captureMs: number): number {
    const { ntpDrift, rtpDrift, rtpStart } = this.source;
    return (
      (rtpStart[kind] + Math.round(captureMs * (1 + ntpDrift) * (1 + rtpDrift[kind]) * (RATES[kind] / 1000))) >>> 0
    );
  }

  /** Runs until `untilMs`. Packets arrive in order, each with the minimum delay plus jitter. */
  run(untilMs: number, kinds: readonly TrackKind[] = ['audio', 'video']): void {
    const deliveries: Array<{ at: number; kind: TrackKind; captureMs: number; report: boolean }> = [];
    for (const kind of kinds) {
      let latest = this.#arrived[kind];
      for (; this.#captured[kind] < untilMs; this.#captured[kind] += INTERVALS[kind]) {
        const captureMs = this.#captured[kind];
        latest = Math.max(
          latest,
          captureMs +
            this.source.delayMs[kind] +
            this.random() ** 3 * this.source.jitterMs +
            (captureMs === 0 ? (this.source.heldUpMs?.[kind] ?? 0) : 0),
        );
        deliveries.push({ at: latest, kind, captureMs, report: false });
        if (captureMs - this.#reported[kind] >= 5000) {
          this.#reported[kind] += 5000;
          deliveries.push({ at: latest, kind, captureMs, report: true });
        }
      }
      this.#arrived[kind] = latest;
    }
    deliveries.sort((a, b) => a.at - b.at);
    for (const { at, kind, captureMs, report } of deliveries) this.#deliver(at, kind, captureMs, report);
  }

  #deliver(at: number, kind: TrackKind, captureMs: number, report: boolean): void {
    const { source } = this;
    const rtpTimestamp = this.rtpAt(kind, captureMs);
    const track = this.tracks[kind];
    if (report) {
      const noise = (this.random() - 0.5) * 2 * source.reportNoiseMs;
      track.senderReport({ ntpMs: captureMs * (1 + source.ntpDrift) + source.ntpOffsetMs + noise, rtpTimestamp }, at);
      return;
    }
    track.arrival(rtpTimestamp, at);
    const streamMs = track.toStreamMs(rtpTimestamp);
    if (!(streamMs >= this.last[kind])) this.monotonic = false;
    if (captureMs > SETTLED_MS)
      this.largestJumpMs[kind] = Math.max(this.largestJumpMs[kind], Math.abs(streamMs - captureMs - this.offset[kind]));
    this.last[kind] = streamMs;
    this.offset[kind] = streamMs - captureMs;
  }

  get skewMs(): number {
    return Math.abs(this.offset.audio - this.offset.video);
  }
}
