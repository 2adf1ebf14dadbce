import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../test/helpers/wait.ts';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage } from './bench-stage.ts';
import { JanusStack } from './janus.ts';
import { figure, gatewayGroups, memory, percentile, processorLoad, total, type Groups } from './measure.ts';
import { enterOwnNetwork } from '../test/helpers/own-network.ts';
import { progress, type Report } from './report.ts';

const KBPS = 2000;
/** After destinations have been added: new connections settle. */
const SETTLE_MS = 20_000;
const FLOWING_TIMEOUT_MS = 60_000;

interface Side {
  readonly load: Record<string, number>;
  readonly memoryMb: number;
  readonly latencies: { readonly p50: number; readonly p95: number };
}

interface Measured {
  readonly streams: number;
  readonly destinations: number;
  readonly rounds: readonly { readonly here: Side; readonly janus: Side }[];
}

/**
 * This gateway, and Janus with ffmpeg, with the same number of publishers and destinations each, at the same moment on the same cores: the ratio of the two does not
 * depend on the speed of the machine, which varies.
 */
export async function benchRivals({
  rounds,
  seconds,
  counts,
  fanOut,
  settings,
  warmUp,
  fastCoder,
}: BenchOptions): Promise<Report> {
  enterOwnNetwork();
  const stage = await setBenchStage({ settings, kbps: KBPS });
  const results: Measured[] = [];
  let janus: JanusStack | undefined;
  try {
    janus = await JanusStack.start({ sinkPort: stage.sinkPort, fastCoder });
    let running = 0;
    for (const streams of counts) {
      for (; running < streams; running++) {
        await stage.publishers.ask('publish', {
          name: `s${running}`,
          url: stage.gateway.wsUrl,
          rtmpUrl: stage.rtmpUrl,
        });
        await stage.publishers.ask('publishToJanus', janus.target(janusName(running)));
      }
      const ours: string[] = [];
      for (const destinationsEach of fanOut > 1 ? [1, fanOut] : [1]) {
        for (let stream = 0; stream < streams; stream++) {
          for (let copy = 1; copy < destinationsEach; copy++)
            ours.push(
              (
                await stage.gateway.startPush({
                  streamName: `s${stream}`,
                  rtmpUrl: `rtmp://127.0.0.1:${stage.sinkPort}/copy${copy}`,
                })
              ).mediaSessionId,
            );
        }
        await janus.push(destinationsEach);
        const destinations = streams * destinationsEach;
        await flowing(stage, destinations);
        await sleep(results.length === 0 ? warmUp * 1000 : SETTLE_MS);
        results.push({
          streams,
          destinations,
          rounds: await measureRounds(stage, janus, rounds, seconds, destinations),
        });
      }
      await Promise.all(ours.map((mediaSessionId) => stage.gateway.rest('/push/terminate', { mediaSessionId })));
    }
  } finally {
    await janus?.close();
    await stage.close();
  }
  const of = (side: 'here' | 'janus', value: (side: Side) => number) => (measured: Measured) =>
    figure(measured.rounds.map((round) => value(round[side])));
  const load = (side: Side): number => total(side.load);
  const latency = (measured: Measured, side: 'here' | 'janus'): string =>
    `${of(side, ({ latencies }) => latencies.p50)(measured).median.toFixed(1)} / ${of(side, ({ latencies }) => latencies.p95)(measured).median.toFixed(1)}`;
  return {
    name: fastCoder ? 'rivals-fast-coder' : 'rivals',
    tables: [
      {
        title: `720p30, 2 Mbps, Opus, both at the same moment${fastCoder ? ", Janus's ffmpeg with its fast AAC coder" : ''}: percent of one core, all processes`,
        columns: [
          'streams → destinations',
          'here',
          'Janus + ffmpeg',
          'here : there',
          'latency p50 / p95 here, ms',
          'there',
          'memory here, MB',
          'there',
        ],
        rows: results.map((measured) => [
          `${measured.streams} → ${measured.destinations}`,
          of('here', load)(measured),
          of('janus', load)(measured),
          figure(measured.rounds.map(({ here, janus: there }) => load(here) / load(there))),
          latency(measured, 'here'),
          latency(measured, 'janus'),
          of('here', ({ memoryMb }) => memoryMb)(measured).median,
          of('janus', ({ memoryMb }) => memoryMb)(measured).median,
        ]),
      },
    ],
    plot: {
      title: 'Processor time of both at the same moment',
      x: 'streams → destinations',
      y: 'percent of one core',
      series: (['here', 'janus'] as const).map((side) => ({
        name: side === 'here' ? 'here' : 'Janus + ffmpeg',
        points: results.map(
          (measured) => [`${measured.streams} → ${measured.destinations}`, of(side, load)(measured).median] as const,
        ),
      })),
    },
    data: { results },
  };
}

const janusName = (stream: number): string => `janus${stream}`;

/** Waits until each side has this number of connections with frames. */
async function flowing(stage: BenchStage, destinations: number): Promise<void> {
  await waitFor(
    `${destinations} destinations of each side with frames`,
    async () => {
      const alive = (await stage.sink.ask('streams')).filter(({ endedAt, frames }) => endedAt === 0 && frames > 0);
      const janus = alive.filter(isJanus).length;
      if (janus >= destinations && alive.length - janus >= destinations) return true;
      throw new Error(`${alive.length - janus} here, ${janus} there`);
    },
    { timeout: FLOWING_TIMEOUT_MS, every: 200 },
  );
}

const isJanus = ({ name }: { readonly name: string }): boolean => name.startsWith('janus');

async function measureRounds(
  stage: BenchStage,
  janus: JanusStack,
  rounds: number,
  seconds: number,
  destinations: number,
): Promise<Measured['rounds']> {
  const measured: { here: Side; janus: Side }[] = [];
  for (let round = 1; round <= rounds; round++) {
    await stage.sink.ask('reset');
    const groups = { here: gatewayGroups(stage.gateway.pid), janus: janus.groups };
    const [here, there] = await Promise.all([
      processorLoad(groups.here, seconds),
      processorLoad(groups.janus, seconds),
    ]);
    const streams = await stage.sink.ask('streams');
    const side = (load: Record<string, number>, of: Groups, latencies: number[]): Side => {
      latencies.sort((a, b) => a - b);
      return {
        load,
        memoryMb: total(memory(of)),
        latencies: { p50: percentile(latencies, 50), p95: percentile(latencies, 95) },
      };
    };
    measured.push({
      here: side(
        here,
        groups.here,
        streams.filter((stream) => !isJanus(stream)).flatMap(({ latencies }) => latencies),
      ),
      janus: side(
        there,
        groups.janus,
        streams.filter(isJanus).flatMap(({ latencies }) => latencies),
      ),
    });
    progress(
      `  ${destinations} destinations each, round ${round}/${rounds}: ${total(here).toFixed(2)} % here, ${total(there).toFixed(2)} % there`,
    );
  }
  return measured;
}
