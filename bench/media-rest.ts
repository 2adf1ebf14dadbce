import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage } from './bench-stage.ts';
import { figure, gatewayGroups, percentile, processorLoad, total } from './measure.ts';
import { progress, type Report } from './report.ts';

/** Values of `media_rest_ms`: none, the default, and twice that. */
const RESTS_MS = [0, 20, 40];
/** New connections settle. */
const SETTLE_MS = 20_000;

interface Side {
  readonly load: Record<string, number>;
  readonly p50: number;
  readonly p95: number;
}

interface Measured {
  readonly streams: number;
  /** For each of {@link RESTS_MS}. */
  readonly rounds: readonly (readonly Side[])[];
}

/** CPU and latency by the pause between two reads: gateways with different values at the same moment, under the same load. */
export async function benchMediaRest({ rounds, seconds, counts, settings, warmUp }: BenchOptions): Promise<Report> {
  const stages: BenchStage[] = [];
  const results: Measured[] = [];
  try {
    for (const restMs of RESTS_MS)
      stages.push(await setBenchStage({ settings: { ...settings, media_rest_ms: restMs } }));
    let running = 0;
    for (const streams of counts) {
      for (; running < streams; running++)
        for (const { publishers, gateway, rtmpUrl } of stages)
          await publishers.ask('publish', { name: `s${running}`, url: gateway.wsUrl, rtmpUrl });
      for (const stage of stages) await stage.flowing(streams);
      await sleep(results.length === 0 ? warmUp * 1000 : SETTLE_MS);
      const measured: Side[][] = [];
      for (let round = 1; round <= rounds; round++) {
        measured.push(await Promise.all(stages.map((stage) => measure(stage, seconds))));
        progress(
          `  ${streams} streams, round ${round}/${rounds}: ${measured
            .at(-1)!
            .map(
              ({ load, p95 }, index) => `${RESTS_MS[index]} ms: ${total(load).toFixed(2)} %, p95 ${p95.toFixed(1)} ms`,
            )
            .join('; ')}`,
        );
      }
      results.push({ streams, rounds: measured });
    }
  } finally {
    for (const stage of stages) await stage.close();
  }
  const of = ({ rounds: all }: Measured, rest: number, value: (side: Side, ofDefault: Side) => number) =>
    figure(all.map((sides) => value(sides[rest]!, sides[RESTS_MS.indexOf(20)]!)));
  return {
    name: 'media-rest',
    tables: [
      {
        title: '720p30, 2 Mbps, Opus, all at the same moment: percent of one core, all processes',
        columns: [
          'streams',
          'media_rest_ms',
          'all',
          'worker',
          'gateway',
          'audio',
          'beside the default',
          'latency p50, ms',
          'p95, ms',
        ],
        rows: results.flatMap((measured) =>
          RESTS_MS.map((restMs, rest) => [
            measured.streams,
            restMs,
            of(measured, rest, ({ load }) => total(load)),
            ...['worker', 'gateway', 'audio'].map((part) => of(measured, rest, ({ load }) => load[part]!).median),
            of(measured, rest, ({ load }, ofDefault) => total(load) / total(ofDefault.load)),
            of(measured, rest, ({ p50 }) => p50).median,
            of(measured, rest, ({ p95 }) => p95).median,
          ]),
        ),
      },
    ],
    plot: {
      title: 'Processor time by the longest pause',
      x: 'media_rest_ms',
      y: 'percent of one core',
      series: results.map((measured) => ({
        name: `${measured.streams} streams`,
        points: RESTS_MS.map((restMs, rest) => [restMs, of(measured, rest, ({ load }) => total(load)).median] as const),
      })),
    },
    data: { results },
  };
}

async function measure({ sink, gateway }: BenchStage, seconds: number): Promise<Side> {
  await sink.ask('reset');
  const load = await processorLoad(gatewayGroups(gateway.pid), seconds);
  const latencies = (await sink.ask('streams')).flatMap((stream) => stream.latencies).sort((a, b) => a - b);
  return { load, p50: percentile(latencies, 50), p95: percentile(latencies, 95) };
}
