import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNginxRtmp } from '../test/helpers/nginx-rtmp.ts';
import { waitFor } from '../test/helpers/wait.ts';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage } from './bench-stage.ts';
import { BenchProcess } from './child-process.ts';
import { clipFile, loadClip } from './clip.ts';
import {
  figure,
  gatewayGroups,
  memory,
  percentile,
  processorLoad,
  total,
  type Figure,
  type Groups,
} from './measure.ts';
import { progress, type Report } from './report.ts';
import type { SinkRequests, SinkStream } from './sink-main.ts';

const KBPS = 2500;

const WAYS = [
  { name: 'RTMP client of our own', engine: 'rtmp', secure: false },
  { name: 'the same by RTMPS', engine: 'rtmp', secure: true },
  { name: 'an ffmpeg for each', engine: 'ffmpeg', secure: false },
];

interface Measured {
  readonly destinations: number;
  /** Percent of a core and megabytes of all processes of this way of pushing. */
  readonly load: readonly number[];
  readonly memory: number;
  /** Latency of the slowest destination, in milliseconds from the publisher. */
  readonly slowest?: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** Cost of one more destination of a 720p30 stream of 2.5 Mbps, by the way of pushing. */
export async function benchPush({ rounds, seconds, counts, settings, warmUp }: BenchOptions): Promise<Report> {
  const ways: [string, Measured[]][] = [];
  for (const { name, engine, secure } of WAYS) {
    progress(name);
    const stage = await setBenchStage({
      kbps: KBPS,
      secure,
      settings: {
        ...settings,
        push_engine: engine,
        max_transponders_per_stream: 1000,
        rtmp_push_restore: true,
        rtmp_push_restore_attempts: 10,
        rtmp_push_restore_interval_ms: 500,
      },
    });
    try {
      ways.push([name, await measureGateway(stage, { rounds, seconds, counts, warmUp })]);
    } finally {
      await stage.close();
    }
  }
  progress('nginx-rtmp, push');
  const relay: Measured[] = [];
  for (const destinations of counts) relay.push(await measureRelay(destinations, rounds, seconds));
  ways.push(["nginx-rtmp's push relay", relay]);

  const perDestination = (measured: readonly Measured[], value: (of: Measured) => number): number => {
    const [few, many] = [measured[0]!, measured.at(-1)!];
    return (value(many) - value(few)) / Math.max(1, many.destinations - few.destinations);
  };
  const median = (of: Measured): number => figure(of.load).median;
  return {
    name: 'push',
    tables: [
      {
        title: '720p30, 2.5 Mbps: percent of one core for all destinations',
        columns: ['', ...counts.map(String), 'each further one, %', 'MB each'],
        rows: ways.map(([name, measured]) => [
          name,
          ...measured.map((of): Figure => figure(of.load)),
          perDestination(measured, median).toFixed(3),
          perDestination(measured, (of) => of.memory).toFixed(2),
        ]),
      },
      {
        title: 'Latency of the slowest destination, in milliseconds from the publisher',
        columns: ['', 'destinations', 'p50', 'p99', 'max'],
        rows: ways.flatMap(([name, measured]) =>
          measured.flatMap(({ destinations, slowest }) =>
            slowest ? [[name, destinations, slowest.p50, slowest.p99, slowest.max]] : [],
          ),
        ),
      },
    ],
    plot: {
      title: 'Processor time by number of destinations of one stream',
      x: 'destinations',
      y: 'percent of one core',
      series: ways.map(([name, measured]) => ({
        name,
        points: measured.map((of) => [of.destinations, median(of)] as const),
      })),
    },
    data: Object.fromEntries(ways),
  };
}

async function measureGateway(
  stage: BenchStage,
  { rounds, seconds, counts, warmUp }: Pick<BenchOptions, 'rounds' | 'seconds' | 'counts' | 'warmUp'>,
): Promise<Measured[]> {
  const measured: Measured[] = [];
  await stage.publishers.ask('publish', { name: 'live', url: stage.gateway.wsUrl });
  let running = 0;
  for (const destinations of counts) {
    for (; running < destinations; running++)
      await stage.gateway.startPush({ streamName: 'live', rtmpUrl: `${stage.rtmpUrl}/${running}` });
    await stage.flowing(destinations);
    await sleep(measured.length === 0 ? warmUp * 2000 : 4000);
    const { worker, gateway, audio, pushers } = gatewayGroups(stage.gateway.pid);
    measured.push(
      await measureLoad(
        { worker: worker!, gateway: gateway!, audio: audio!, pushers: pushers! },
        destinations,
        stage.sink,
        rounds,
        seconds,
      ),
    );
  }
  return measured;
}

async function measureRelay(destinations: number, rounds: number, seconds: number): Promise<Measured> {
  const sink = await BenchProcess.start<SinkRequests>('./sink-main.ts');
  try {
    const port = await sink.ask('listen', 0);
    const targets = Array.from(
      { length: destinations },
      (_, index) => `push rtmp://127.0.0.1:${port}/live${index};`,
    ).join('\n');
    const nginx = await startNginxRtmp({ record: false, applicationDirectives: targets });
    const source = spawn(
      'ffmpeg',
      [
        '-hide_banner',
        '-loglevel',
        'error',
        '-nostdin',
        '-re',
        '-stream_loop',
        '-1',
        '-i',
        await clipFile(await loadClip(KBPS), KBPS),
        '-c:v',
        'copy',
        '-c:a',
        'aac',
        '-b:a',
        '128k',
        '-f',
        'flv',
        `${nginx.rtmpUrl}/live`,
      ],
      { stdio: 'ignore' },
    );
    try {
      await waitFor(
        'the relay',
        async () => (await sink.ask('streams')).filter(({ frames }) => frames > 0).length >= destinations,
        { timeout: 30_000, every: 200 },
      );
      await sleep(2000);
      return await measureLoad({ nginx: [nginx.pid] }, destinations, sink, rounds, seconds);
    } finally {
      const ended = once(source, 'exit');
      source.kill('SIGKILL');
      await ended;
      await nginx.stop();
    }
  } finally {
    await sink.stop();
  }
}

async function measureLoad(
  groups: Groups,
  destinations: number,
  sink: BenchProcess<SinkRequests>,
  rounds: number,
  seconds: number,
): Promise<Measured> {
  const load: number[] = [];
  await sink.ask('reset');
  for (let round = 1; round <= rounds; round++) {
    load.push(total(await processorLoad(groups, seconds)));
    progress(`  ${destinations} destinations, round ${round}/${rounds}: ${load.at(-1)!.toFixed(1)} % of a core`);
  }
  const slowest = slowestOf(await sink.ask('streams'));
  return { destinations, load, memory: total(memory(groups)), ...(slowest && { slowest }) };
}

function slowestOf(streams: readonly SinkStream[]): Measured['slowest'] {
  const all = streams
    .filter(({ latencies, endedAt }) => endedAt === 0 && latencies.length > 0)
    .map(({ latencies }) => {
      const sorted = [...latencies].sort((a, b) => a - b);
      return { p50: percentile(sorted, 50), p99: percentile(sorted, 99), max: sorted.at(-1)! };
    });
  return all.sort((a, b) => b.p99 - a.p99)[0];
}
