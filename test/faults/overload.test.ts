import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { BenchProcess } from '../../bench/child-process.ts';
import type { PublisherRequests } from '../../bench/publishers-main.ts';
import type { SinkRequests, SinkStream } from '../../bench/sink-main.ts';
import { startFfmpegRtmpServer } from '../helpers/ffmpeg-rtmp-server.ts';
import { startGateway } from '../helpers/gateway.ts';
import { peakMemory } from '../helpers/processes.ts';
import { analyse } from '../helpers/recording.ts';
import { waitFor } from '../helpers/wait.ts';

/**
 * A gateway with more streams than it has time for. Each video frame contains the time when it was sent. `LONG_TESTS=1` also tests without the fast
 * paths, where packets take another way to the gateway.
 */

const VIDEO_KBPS = 800;
const STREAMS = 8;
/** The work of the streams, in the time that there is; raised until video is paused. */
const DEMAND = 2.5;
const MORE = 1.5;
const PAUSED_WITHIN = 4000;
/** Milliseconds from a publisher to the RTMP server. Without a pause of video it grows as long as the overload lasts. */
const MAX_LATENESS = 5000;
const RECOVERED_LATENESS = 1000;
const OVERLOADED_WITHIN = 30_000;
const RECOVERED_WITHIN = 30_000;
/** 1024 samples at 48 kHz. */
const AAC_FRAME_MS = 21.33;
/** Audio goes on while video is paused, except for what was too late in the first seconds. */
const LEAST_AUDIO = 0.7;
/** How long the overload is watched. */
const WATCHED_MS = 4000;
/** Megabytes. */
const MAX_GROWTH = 80;

const OFFER = readFileSync(new URL('../unit/webrtc/fixtures/chromium-publish.sdp', import.meta.url), 'utf8');

t.setTimeout(300_000);

for (const fastPaths of process.env['LONG_TESTS'] === '1' ? [true, false] : [true]) {
  t.test(`overload with fast_paths=${fastPaths}`, async (t) => {
    const [gateway, sink, recorder, publishers] = await Promise.all([
      startGateway({ fast_paths: fastPaths, log_level: 'info' }, { slowable: true }),
      BenchProcess.start<SinkRequests>('./sink-main.ts'),
      startFfmpegRtmpServer(),
      BenchProcess.start<PublisherRequests>('./publishers-main.ts', [String(VIDEO_KBPS)]),
    ]);
    t.teardown(async () => {
      await publishers.stop();
      await gateway.stop();
      await Promise.all([sink.stop(), recorder.stop()]);
    });
    const rtmpUrl = `rtmp://127.0.0.1:${await sink.ask('listen', 0)}/live`;
    const pushed = async (): Promise<SinkStream[]> =>
      (await sink.ask('streams')).filter(({ endedAt }) => endedAt === 0);
    const latest = ({ latencies }: SinkStream): number => latencies.at(-1) ?? Infinity;
    const metric = async (name: string): Promise<number> =>
      Number(new RegExp(`^${name} (\\d+)$`, 'm').exec((await gateway.http('/metrics')).text)?.[1]);
    const status = async (): Promise<string> => (await gateway.http('/health')).body.status;
    const memory = (): number =>
      [gateway.pid, ...gateway.children('media-worker').map(({ pid }) => pid)].reduce(
        (sum, pid) => sum + peakMemory(pid),
        0,
      );

    for (let stream = 0; stream < STREAMS; stream++)
      await publishers.ask('publish', { name: `s${stream}`, url: gateway.wsUrl, rtmpUrl });
    await gateway.startPush({ streamName: 's0', rtmpUrl: recorder.rtmpUrl });
    await waitFor('frames of all streams', async () => {
      const streams = await pushed();
      return streams.length === STREAMS && streams.every(({ frames }) => frames > 60);
    });
    const usedBefore = gateway.cpu().gateway;
    await sleep(2000);
    const share = (gateway.cpu().gateway - usedBefore) / 2000;
    const memoryBefore = memory();
    await sink.ask('reset');
    const resetMs = performance.now();

    const beganMs = performance.now();
    const isPaused = (): boolean => gateway.logs().includes('"video is paused');
    for (let demand = DEMAND; !isPaused() && demand < 20; demand *= MORE) {
      gateway.slowDown(demand / share);
      await waitFor('a pause of video', isPaused, { timeout: PAUSED_WITHIN }).catch(() => undefined);
    }
    t.ok(isPaused(), 'video is paused');
    await waitFor('/health to say overloaded', async () => (await status()) === 'overloaded', {
      timeout: OVERLOADED_WITHIN,
      every: 200,
    });
    t.comment(
      `main thread: ${(share * 100).toFixed(1)} % of a core; overloaded after ${(performance.now() - beganMs).toFixed(0)} ms`,
    );
    t.match(gateway.logs(), /"overloaded: new publications are refused/);
    const refused = await fetch(`${gateway.httpUrl}/whip/refused`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp' },
      body: OFFER,
    });
    t.match([refused.status, await refused.json()], [503, { exception: 'OVERLOADED' }]);
    t.ok(Number(refused.headers.get('retry-after')) > 0);
    await t.rejects(
      publishers.ask('publish', { name: 'refused', url: gateway.wsUrl }),
      /FAILED The gateway is overloaded: .+ Try again/,
    );
    await sleep(WATCHED_MS);
    t.equal(await status(), 'overloaded', 'still');

    gateway.slowDown(0);
    const endedMs = performance.now();
    await waitFor(
      'all streams to be on time',
      async () => {
        const before = new Map((await pushed()).map(({ name, frames }) => [name, frames]));
        await sleep(500);
        const streams = await pushed();
        return (
          streams.length === STREAMS &&
          streams.every(
            (stream) => stream.frames >= before.get(stream.name)! + 10 && latest(stream) < RECOVERED_LATENESS,
          )
        );
      },
      { timeout: RECOVERED_WITHIN },
    );
    t.comment(`on time ${(performance.now() - endedMs).toFixed(0)} ms after the load`);
    await waitFor('/health to be ok', async () => (await status()) === 'ok', { timeout: RECOVERED_WITHIN });
    t.comment(`ok ${(performance.now() - endedMs).toFixed(0)} ms after the load`);
    await publishers.ask('publish', { name: 'accepted', url: gateway.wsUrl, rtmpUrl });

    const audioDue = (performance.now() - resetMs) / AAC_FRAME_MS;
    for (const { name, frames, audioFrames, latencies, longestFrameGap } of await pushed())
      if (name !== 'rtmp_accepted') {
        t.ok(audioFrames > audioDue * LEAST_AUDIO, `${name}: ${audioFrames} of ${audioDue.toFixed(0)} audio frames`);
        const worst = Math.max(...latencies);
        t.ok(worst < MAX_LATENESS, `${name}: ${worst.toFixed(0)} ms late`);
        t.comment(
          `${name}: ${frames} frames, ${audioFrames} of audio, latency ${worst.toFixed(0)} ms, gap ${longestFrameGap} ms`,
        );
      }
    const [missed, late, dropped] = await Promise.all(
      ['gateway_missed_frames_total', 'gateway_late_packets_total', 'gateway_late_frames_dropped_total'].map(metric),
    );
    t.ok(missed! > STREAMS, `${missed} frames missed, ${late} late packets, ${dropped} late frames`);
    t.comment(`${missed} frames missed, ${late} late packets, ${dropped} late frames`);
    t.equal(await metric('gateway_paused_video_tracks'), 0);
    const growth = memory() - memoryBefore;
    t.ok(growth < MAX_GROWTH, `${growth.toFixed(0)} MB more`);
    t.comment(`${growth.toFixed(0)} MB more`);

    await publishers.ask('stop', 's0');
    await recorder.ended();
    const recording = await analyse(recorder.recording);
    t.strictSame(recording.decodeErrors, [], 'what arrived can be decoded');
    t.ok(recording.frames.length > 60);
    t.strictSame(recording.video.stepsBack, []);
  });
}
