import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage } from './bench-stage.ts';
import { figure, percentile } from './measure.ts';
import { progress, type Report } from './report.ts';
import { stampClock } from './stamp.ts';
import { startChromium } from '../test/helpers/chromium.ts';
import { SdkPage, startPageServer } from '../test/helpers/sdk-page.ts';
import { waitFor } from '../test/helpers/wait.ts';

/** Kilobits per second of a stream whose key frames are far larger than one write (64 KiB) or the worker's pipe. */
const RICH_KBPS = 6000;
/** Milliseconds between two attempts to reconnect; half of it is the average wait. */
const RESTORE_INTERVAL_MS = 500;

interface Latencies {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** From a publisher's frame to the RTMP server, and from an answer to the first frame there. */
export async function benchLatency({ rounds, seconds, settings, warmUp }: BenchOptions): Promise<Report> {
  const direct = await withStage(
    {
      ...settings,
      rtmp_push_restore: true,
      rtmp_push_restore_attempts: 100,
      rtmp_push_restore_interval_ms: RESTORE_INTERVAL_MS,
    },
    warmUp,
    async (stage) => {
      const steady = await measureSteady(stage, rounds, seconds);
      const warm = await repeat(rounds, 'push of a stream that is pushed already', () => pushToFirstFrame(stage));
      const reconnect = await repeat(Math.min(rounds, 3), 'reconnect', () => reconnectToFirstFrame(stage));
      await stage.publishers.ask('publish', { name: 'quiet', url: stage.gateway.wsUrl });
      const cold = await repeat(rounds, 'push of a stream without a push', () => pushToFirstFrame(stage, 'quiet'));
      const whip = await repeat(rounds, 'WHIP', () => answerToFirstFrame(stage, true));
      const wcs = await repeat(rounds, 'WebSocket', () => answerToFirstFrame(stage, false));
      const chromium = await chromiumToFirstFrame(stage, Math.min(rounds, 3));
      return { steady, warm, cold, whip, wcs, chromium, reconnect };
    },
  );
  const rich = await withStage(
    settings,
    warmUp,
    (stage) => measureSteady(stage, Math.min(rounds, 2), seconds),
    RICH_KBPS,
  );
  const buffered = await withStage({ ...settings, rtmp_out_buffer_enabled: true }, warmUp, (stage) =>
    measureSteady(stage, Math.min(rounds, 2), seconds),
  );

  const latencyRow = (name: string, of: readonly Latencies[]): (string | ReturnType<typeof figure>)[] => [
    name,
    figure(of.map(({ p50 }) => p50)),
    figure(of.map(({ p95 }) => p95)),
    figure(of.map(({ p99 }) => p99)),
  ];
  const startUps: [string, readonly number[]][] = [
    ['push of a live stream, first destination: REST 200', direct.cold],
    ['push of a live stream, further destination: REST 200', direct.warm],
    ['WHIP with rtmpUrl: 201 (ICE and DTLS included)', direct.whip],
    ['WebSocket with rtmpUrl: SDP answer (ICE and DTLS included)', direct.wcs],
    ['the same from Chromium with the official Web SDK', direct.chromium],
    [`server back after it was gone (an attempt every ${RESTORE_INTERVAL_MS} ms)`, direct.reconnect],
  ];
  return {
    name: 'latency',
    tables: [
      {
        title: 'From the publisher to the RTMP server, milliseconds',
        columns: ['', 'p50', 'p95', 'p99'],
        rows: [
          latencyRow('no out-buffer', direct.steady),
          latencyRow(`the same, ${RICH_KBPS / 1000} Mbps`, rich),
          latencyRow('out-buffer (2000 ms)', buffered),
        ],
      },
      {
        title: 'To the first key frame at the RTMP server, milliseconds',
        columns: ['from', 'median (low–high)'],
        rows: startUps.map(([name, values]) => [name, figure(values)]),
      },
    ],
    plot: {
      title: 'To the first key frame at the RTMP server',
      x: '',
      y: 'milliseconds',
      series: [
        {
          name: 'median',
          points: (['first push', 'next push', 'WHIP', 'WebSocket', 'Chromium', 'reconnect'] as const).map(
            (name, index) => [name, figure(startUps[index]![1]).median] as const,
          ),
        },
      ],
    },
    data: { direct, rich, buffered },
  };
}

async function withStage<Result>(
  settings: BenchOptions['settings'],
  warmUp: number,
  measure: (stage: BenchStage) => Promise<Result>,
  kbps?: number,
): Promise<Result> {
  const stage = await setBenchStage({ settings, ...(kbps && { kbps }) });
  try {
    await stage.publishers.ask('publish', { name: 'live', url: stage.gateway.wsUrl, rtmpUrl: stage.rtmpUrl });
    await stage.flowing(1);
    await sleep(warmUp * 1000);
    return await measure(stage);
  } finally {
    await stage.close();
  }
}

async function repeat(times: number, what: string, measure: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  for (let i = 0; i < times; i++) values.push(await measure());
  progress(`  ${what}: ${values.map((value) => value.toFixed(0)).join(', ')} ms`);
  return values;
}

async function measureSteady(stage: BenchStage, rounds: number, seconds: number): Promise<Latencies[]> {
  const all: Latencies[] = [];
  for (let round = 0; round < rounds; round++) {
    await stage.sink.ask('reset');
    await sleep(seconds * 1000);
    const sorted = (await stage.sink.ask('streams'))[0]!.latencies.sort((a, b) => a - b);
    all.push({ p50: percentile(sorted, 50), p95: percentile(sorted, 95), p99: percentile(sorted, 99) });
    const last = all.at(-1)!;
    progress(
      `  round ${round + 1}/${rounds}: p50 ${last.p50.toFixed(1)}, p95 ${last.p95.toFixed(1)}, p99 ${last.p99.toFixed(1)} ms`,
    );
  }
  return all;
}

/** Arrival of the first key frame on the newest connection of a stream, on the stamps' clock. */
function firstFrame(stage: BenchStage, name: string, sinceMs: number): Promise<number> {
  return waitFor(
    `the first frame of ${name}`,
    async () =>
      (await stage.sink.ask('streams')).find(
        (stream) => stream.name === name && stream.connectedAt > sinceMs && stream.firstKeyFrameAt > 0,
      )?.firstKeyFrameAt,
    { every: 20 },
  );
}

let pushes = 0;

async function pushToFirstFrame(stage: BenchStage, streamName = 'live'): Promise<number> {
  const startedAt = stampClock();
  const { mediaSessionId } = await stage.gateway.startPush({ streamName, rtmpUrl: `${stage.rtmpUrl}/${pushes++}` });
  const answeredAt = stampClock();
  const first = await firstFrame(stage, `rtmp_${streamName}`, startedAt);
  await stage.gateway.rest('/push/terminate', { mediaSessionId });
  await stage.gateway.ended(mediaSessionId);
  await sleep(500 + 1000 * Math.random());
  return first - answeredAt;
}

async function answerToFirstFrame(stage: BenchStage, whip: boolean): Promise<number> {
  const name = `start${pushes++}`;
  const startedAt = stampClock();
  const { answeredAt } = await stage.publishers.ask('publish', {
    name,
    whip,
    url: whip ? `${stage.gateway.httpUrl}/whip` : stage.gateway.wsUrl,
    rtmpUrl: stage.rtmpUrl,
  });
  const first = await firstFrame(stage, `rtmp_${name}`, startedAt);
  await stage.publishers.ask('stop', name);
  await sleep(200);
  return first - answeredAt;
}

/** A page that publishes its camera with `rtmpUrl`: from the answer's arrival in the browser. */
async function chromiumToFirstFrame(stage: BenchStage, times: number): Promise<number[]> {
  const [browser, pages] = await Promise.all([startChromium(), startPageServer()]);
  try {
    return await repeat(times, 'Chromium', async () => {
      const name = `chromium${pushes++}`;
      const page = await SdkPage.open(browser, pages);
      await page.page.evaluate(`{
        const set = RTCPeerConnection.prototype.setRemoteDescription;
        RTCPeerConnection.prototype.setRemoteDescription = function (...args) {
          window.answeredAt = performance.timeOrigin + performance.now();
          return set.apply(this, args);
        };
      }`);
      const startedAt = stampClock();
      await page.publishTo(stage.gateway.wsUrl, { name, rtmpUrl: stage.rtmpUrl });
      const first = await firstFrame(stage, `rtmp_${name}`, startedAt);
      const answeredAt =
        Number(await page.page.evaluate('window.answeredAt')) +
        stampClock() -
        (performance.timeOrigin + performance.now());
      await page.close();
      return first - answeredAt;
    });
  } finally {
    await browser.close();
    await pages.close();
  }
}

async function reconnectToFirstFrame(stage: BenchStage): Promise<number> {
  await stage.sink.ask('close');
  await sleep(1500 + RESTORE_INTERVAL_MS * Math.random());
  const backAt = stampClock();
  await stage.sink.ask('listen', stage.sinkPort);
  return (await firstFrame(stage, 'rtmp_live', backAt)) - backAt;
}
