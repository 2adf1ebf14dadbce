import t from 'tap';
import { MediaClock, type SenderReportTimes, type TrackKind } from '../../../../src/media/rtp/media-clock.ts';
import { RATES } from '../../../helpers/media-simulation.ts';

/** What a report of a track says at a time, after a frame that was captured before it. */
type Convention = (frameMs: number, nowMs: number, kind: TrackKind) => { wallMs: number; mediaMs: number };
const CONVENTIONS: Record<string, Convention> = {
  'the timestamp of the last packet, and the present time': (frameMs, nowMs) => ({ wallMs: nowMs, mediaMs: frameMs }),
  'the timestamp of the last packet, and the time at which it was captured': (frameMs) => ({
    wallMs: frameMs,
    mediaMs: frameMs,
  }),
  'the timestamp of the present time': (_, nowMs) => ({ wallMs: nowMs, mediaMs: nowMs }),
};
const WALL_MS = 3.9e12;
const DELAY_MS = { audio: 15, video: 40 } as const;

interface Publisher {
  readonly intervalMs: Record<TrackKind, number>;
  readonly reportEveryMs: number;
  readonly convention: Convention;
  /** When the wall clock is set, and by how much. */
  readonly step?: { readonly atMs: number; readonly byMs: number };
  readonly untilMs: number;
}

/** The largest distance of a track from its place, and of audio from its last place, in milliseconds, once reports came. */
function play({ intervalMs, reportEveryMs, convention, step, untilMs }: Publisher): { skew: number; jump: number } {
  const clock = new MediaClock();
  const tracks = { audio: clock.track('audio', RATES.audio), video: clock.track('video', RATES.video) };
  const rtp = (kind: TrackKind, ms: number): number => Math.round(ms * (RATES[kind] / 1000) + 77_777) >>> 0;
  const events: { atMs: number; run(): void }[] = [];
  const offset: Record<TrackKind, number> = { audio: NaN, video: NaN };
  // The first ones may be wrong before it can be known.
  const firstMs = 3 * reportEveryMs;
  let [skew, jump] = [0, 0];
  for (const kind of ['audio', 'video'] as const) {
    for (let ms = 0; ms < untilMs; ms += intervalMs[kind])
      events.push({
        atMs: ms + DELAY_MS[kind],
        run() {
          const timestamp = rtp(kind, ms);
          tracks[kind].arrival(timestamp, ms + DELAY_MS[kind]);
          const now = tracks[kind].toStreamMs(timestamp) - ms;
          if (kind === 'audio' && ms > firstMs) jump = Math.max(jump, Math.abs(now - offset.audio));
          offset[kind] = now;
          if (ms > firstMs) skew = Math.max(skew, Math.abs(offset.audio - offset.video));
        },
      });
    for (let ms = kind === 'audio' ? 530 : 790; ms < untilMs; ms += reportEveryMs)
      events.push({
        atMs: ms + 0.5,
        run() {
          const frameMs = Math.floor((ms - DELAY_MS[kind]) / intervalMs[kind]) * intervalMs[kind];
          const { wallMs, mediaMs } = convention(frameMs, ms, kind);
          const ntpMs = WALL_MS + wallMs + (step && ms >= step.atMs ? step.byMs : 0);
          const report: SenderReportTimes = { ntpMs, rtpTimestamp: rtp(kind, mediaMs) };
          tracks[kind].senderReport(report, ms + 0.5);
        },
      });
  }
  events.sort((a, b) => a.atMs - b.atMs);
  for (const { run } of events) run();
  return { skew, jump };
}

for (const [name, convention] of Object.entries(CONVENTIONS))
  void t.test(`reports that contain ${name}`, async (t) => {
    for (const fps of [0.5, 1, 2, 5, 7, 15])
      for (const reportEveryMs of [1000, 2270, 5130])
        for (const byMs of [0, 700, -3_600_000]) {
          // A track whose frames are that far apart is taken to pause while the clock is set.
          if (fps < 1 && byMs === 700) continue;
          const intervalMs = { audio: 20, video: 1000 / fps };
          const step = { atMs: 30_000, byMs };
          const { skew, jump } = play({ intervalMs, reportEveryMs, convention, step, untilMs: 60_000 });
          const label = `${fps} frames per second, a report each ${reportEveryMs} ms, clock set by ${byMs} ms`;
          t.ok(skew <= 60, `${label}: skew ${Math.round(skew)} ms`);
          t.ok(jump <= 5, `${label}: audio moves by ${Math.round(jump)} ms`);
        }
  });

/** Without reports, tracks are as far apart as their delays. */
const APART_MS = DELAY_MS.video - DELAY_MS.audio;
const USELESS: Record<string, Convention> = {
  'no time (RFC 3550, 6.4.1: 0)': (_, nowMs) => ({ wallMs: -WALL_MS, mediaMs: nowMs }),
  'no time in those of audio': (_, nowMs, kind) => ({ wallMs: kind === 'audio' ? -WALL_MS : nowMs, mediaMs: nowMs }),
  'the time of the start': (_, nowMs) => ({ wallMs: 1000, mediaMs: nowMs }),
  'the time of the start in those of video': (_, nowMs, kind) => ({
    wallMs: kind === 'video' ? 1000 : nowMs,
    mediaMs: nowMs,
  }),
  'clocks that have nothing to do with each other': (_, nowMs, kind) => ({
    wallMs: nowMs + (kind === 'audio' ? 3_600_000 : 0),
    mediaMs: nowMs,
  }),
  'timestamps of 0': (_, nowMs, kind) => ({ wallMs: nowMs, mediaMs: -77_777 / (RATES[kind] / 1000) }),
  'any timestamps': (_, nowMs) => ({ wallMs: nowMs, mediaMs: (nowMs * 7919) % 10_000_000 }),
};

for (const [name, convention] of Object.entries(USELESS))
  void t.test(`reports that contain ${name}`, async (t) => {
    for (const fps of [10, 30])
      for (const reportEveryMs of [1000, 2270, 5130]) {
        const intervalMs = { audio: 20, video: 1000 / fps };
        const { skew, jump } = play({ intervalMs, reportEveryMs, convention, untilMs: 60_000 });
        t.ok(
          skew <= APART_MS + 1,
          `${fps} frames per second, a report each ${reportEveryMs} ms: skew ${Math.round(skew)} ms`,
        );
        t.ok(jump <= 5, `audio moves by ${Math.round(jump)} ms`);
      }
  });
