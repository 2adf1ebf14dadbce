import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { withCoresAwake } from './awake.ts';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage } from './bench-stage.ts';
import { clipFile, FRAMES_PER_SECOND, loadClip } from './clip.ts';
import { figure, gatewayGroups, memory, percentile, processorLoad, total } from './measure.ts';
import { progress, type Report } from './report.ts';
import type { SinkStream } from './sink-main.ts';

const KBPS = 2000;

/** Numbers of streams that are also measured with several destinations. */
const FANNED_OUT = [1, 10];

/** Percent of a core; above it, the machine limits the result. */
const FULL_PERCENT = 85;
const MOST_LOST_PERCENT = 1;

/** New connections settle, and the compiler optimises code for several tags per tick. */
const FAN_OUT_WARM_UP_MS = 20_000;

/** Keeps the work for `/metrics` out of the measurement. */
const SETTLE_MS = 500;

interface Round {
  readonly load: Record<string, number>;
  /** The same right afterwards, while the cores are kept awake. */
  readonly awake: Record<string, number>;
  readonly memory: Record<string, number>;
  readonly around: Record<string, number>;
  /** Collections of the gateway's whole heap. A large number means that packets are held for longer than a few ticks. */
  readonly collections: number;
  /** Percent of the frames that were due. */
  readonly lostPercent: number;
  readonly p50: number;
  readonly p95: number;
}

/** Cost of 720p30 streams of 2 Mbps, passed through, by process and by the number of streams and destinations, until the machine is full. */
export async function benchStreams({
  rounds,
  seconds,
  counts,
  fanOut,
  settings,
  warmUp,
}: BenchOptions): Promise<Report> {
  const stage = await setBenchStage({ settings, kbps: KBPS });
  const results: { streams: number; destinations: number; rounds: Round[] }[] = [];
  let idle: Record<string, number>;
  try {
    await sleep(3000);
    idle = await processorLoad(gatewayGroups(stage.gateway.pid), 3);
    let running = 0;
    for (const streams of counts) {
      try {
        for (; running < streams; running++)
          await stage.publishers.ask('publish', {
            name: `s${running}`,
            url: stage.gateway.wsUrl,
            rtmpUrl: stage.rtmpUrl,
          });
        await stage.flowing(streams);
      } catch (error) {
        // The first streams must fit.
        if (results.length === 0) throw error;
        progress(`  the machine is full: ${(error as Error).message}`);
        break;
      }
      // A single stream calls most functions only 30 times a second, so that V8 needs five minutes to optimise them.
      await sleep(results.length === 0 ? warmUp * 1000 : 4000);
      results.push({ streams, destinations: streams, rounds: await measureRounds(stage, rounds, seconds, streams) });
      if (isFull(results.at(-1)!.rounds)) {
        progress('  the machine is full');
        break;
      }
      if (fanOut > 1 && FANNED_OUT.includes(streams))
        results.push({
          streams,
          destinations: streams * fanOut,
          rounds: await measureFanOut(stage, rounds, seconds, streams, fanOut),
        });
    }
  } finally {
    await stage.close();
  }
  const baseline = await measureByHand(seconds);

  const parts = ['worker', 'gateway', 'audio', 'pushers'];
  const median = (of: Round[], value: (round: Round) => number): number => figure(of.map(value)).median;
  return {
    name: 'streams',
    tables: [
      {
        title: '720p30, 2 Mbps, Opus: percent of one core',
        columns: [
          'streams → destinations',
          'all',
          ...parts,
          'all, cores kept awake',
          'per stream',
          'memory, MB',
          'collections of the heap, 1/min',
          'lost, %',
          'latency p50, ms',
          'p95, ms',
        ],
        rows: [
          ...results.map((result) => [
            `${result.streams} → ${result.destinations}`,
            figure(result.rounds.map((round) => total(round.load))),
            ...parts.map((part) => median(result.rounds, (round) => round.load[part]!)),
            figure(result.rounds.map((round) => total(round.awake))),
            median(result.rounds, (round) => total(round.load)) / result.streams,
            median(result.rounds, (round) => total(round.memory)),
            (result.rounds.reduce((sum, round) => sum + round.collections, 0) / (result.rounds.length * seconds)) * 60,
            median(result.rounds, (round) => round.lostPercent),
            median(result.rounds, (round) => round.p50),
            median(result.rounds, (round) => round.p95),
          ]),
          [
            'by hand: ffmpeg decodes and encodes, 1 → 1',
            baseline.load,
            ...parts.map(() => undefined),
            undefined,
            baseline.load,
            baseline.memory,
            undefined,
            undefined,
            undefined,
            undefined,
          ],
          ['idle', total(idle), ...parts.map((part) => idle[part]!), ...Array.from({ length: 7 }, () => undefined)],
        ],
      },
    ],
    plot: {
      title: 'Processor time by number of streams, one destination each',
      x: 'streams of 720p30 at 2 Mbps',
      y: 'percent of one core',
      series: ['all', ...parts].map((part) => ({
        name: part,
        points: results
          .filter(({ streams, destinations }) => streams === destinations)
          .map(
            ({ streams, rounds: of }) =>
              [streams, median(of, (round) => (part === 'all' ? total(round.load) : round.load[part]!))] as const,
          ),
      })),
    },
    data: { results, baseline, idle },
  };
}

/** Whether the cores, or the core that all publishers share, are busy; lost frames show it too. */
function isFull(rounds: Round[]): boolean {
  if (figure(rounds.map(({ lostPercent }) => lostPercent)).median > MOST_LOST_PERCENT) return true;
  const busy = figure(rounds.map(({ load, around }) => total(load) + total(around))).median;
  const publishers = figure(rounds.map(({ around }) => around['publishers']!)).median;
  return busy >= FULL_PERCENT * availableParallelism() || publishers >= FULL_PERCENT;
}

/** Adds destinations to each stream, measures, and removes them again. */
async function measureFanOut(
  stage: BenchStage,
  rounds: number,
  seconds: number,
  streams: number,
  fanOut: number,
): Promise<Round[]> {
  const ids: string[] = [];
  for (let copy = 1; copy < fanOut; copy++) {
    for (let stream = 0; stream < streams; stream++)
      ids.push(
        (
          await stage.gateway.startPush({
            streamName: `s${stream}`,
            rtmpUrl: `rtmp://127.0.0.1:${stage.sinkPort}/copy${copy}`,
          })
        ).mediaSessionId,
      );
  }
  await stage.flowing(streams * fanOut);
  await sleep(FAN_OUT_WARM_UP_MS);
  const measured = await measureRounds(stage, rounds, seconds, streams * fanOut);
  await Promise.all(ids.map((mediaSessionId) => stage.gateway.rest('/push/terminate', { mediaSessionId })));
  await stage.sink.ask('reset');
  return measured;
}

async function measureRounds(
  stage: BenchStage,
  rounds: number,
  seconds: number,
  destinations: number,
): Promise<Round[]> {
  const measured: Round[] = [];
  for (let round = 1; round <= rounds; round++) {
    const collectionsBefore = await collections(stage);
    await sleep(SETTLE_MS);
    await stage.sink.ask('reset');
    const groups = gatewayGroups(stage.gateway.pid);
    const around = { publishers: [stage.publishers.pid], sink: [stage.sink.pid] };
    const from = performance.now();
    const [load, outside] = await Promise.all([processorLoad(groups, seconds), processorLoad(around, seconds)]);
    const elapsed = performance.now() - from;
    const usual = {
      load,
      memory: memory(groups),
      around: outside,
      ...quality(await stage.sink.ask('streams'), elapsed),
      collections: (await collections(stage)) - collectionsBefore,
    };
    measured.push({ ...usual, awake: await withCoresAwake(() => processorLoad(groups, seconds)) });
    const last = measured.at(-1)!;
    progress(
      `  ${destinations} destinations, round ${round}/${rounds}: ${total(load).toFixed(2)} % of a core (${total(last.awake).toFixed(2)} with cores awake), latency ${last.p50.toFixed(1)}/${last.p95.toFixed(1)} ms, lost ${last.lostPercent.toFixed(2)} %`,
    );
  }
  return measured;
}

/** Number of collections of the gateway's whole heap. */
async function collections({ gateway }: BenchStage): Promise<number> {
  const { text } = await gateway.http('/metrics');
  return Number(/^nodejs_gc_duration_seconds_count\{kind="major"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

function quality(streams: readonly SinkStream[], elapsedMs: number): Pick<Round, 'lostPercent' | 'p50' | 'p95'> {
  const alive = streams.filter(({ endedAt }) => endedAt === 0);
  // One frame at either end of the time is not a loss.
  const due = Math.floor((elapsedMs / 1000) * FRAMES_PER_SECOND) - 1;
  const lost = alive.reduce((sum, { frames }) => sum + Math.max(0, due - frames), 0);
  const latencies = alive.flatMap((stream) => stream.latencies).sort((a, b) => a - b);
  return {
    lostPercent: (lost / (due * alive.length)) * 100,
    p50: percentile(latencies, 50),
    p95: percentile(latencies, 95),
  };
}

/** For comparison: an ffmpeg that decodes and encodes everything. Its input is a file, so it does not include receiving WebRTC. */
async function measureByHand(seconds: number): Promise<{ load: number; memory: number }> {
  const file = await clipFile(await loadClip(KBPS), KBPS);
  const child = spawn(
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
      file,
      '-c:v',
      'libx264',
      '-preset',
      'veryfast',
      '-tune',
      'zerolatency',
      '-g',
      '60',
      '-b:v',
      `${KBPS}k`,
      '-c:a',
      'aac',
      '-b:a',
      '128k',
      '-ar',
      '48000',
      '-f',
      'flv',
      '/dev/null',
      '-y',
    ],
    { stdio: 'ignore' },
  );
  try {
    await sleep(3000);
    const groups = { ffmpeg: [child.pid!] };
    const load = await processorLoad(groups, seconds);
    return { load: total(load), memory: total(memory(groups)) };
  } finally {
    child.kill('SIGKILL');
  }
}
