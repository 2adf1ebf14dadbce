import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage } from './bench-stage.ts';
import { figure } from './measure.ts';
import { progress, type Report } from './report.ts';
import { REST_CALLS, restLatency, type RestLatency } from './rest-latency.ts';

interface Measured {
  readonly streams: number;
  readonly rounds: readonly Record<(typeof REST_CALLS)[number], RestLatency>[];
}

/** How long answers of the REST interface take while streams flow, with one destination each. */
export async function benchRest({ rounds, seconds, counts, settings, warmUp }: BenchOptions): Promise<Report> {
  const stage = await setBenchStage({ settings });
  const results: Measured[] = [];
  try {
    let running = 0;
    for (const streams of counts) {
      for (; running < streams; running++)
        await stage.publishers.ask('publish', {
          name: `s${running}`,
          url: stage.gateway.wsUrl,
          rtmpUrl: stage.rtmpUrl,
        });
      await stage.flowing(streams);
      await sleep(warmUp * 1000);
      const measured: Measured['rounds'][number][] = [];
      for (let round = 1; round <= rounds; round++) {
        const latency = await restLatency(stage.gateway.httpUrl, seconds);
        measured.push(latency);
        progress(
          `  ${streams} streams, round ${round}/${rounds}: ${REST_CALLS.map((call) => `${call} p50 ${latency[call].p50.toFixed(1)}, p99 ${latency[call].p99.toFixed(1)} ms`).join('; ')}`,
        );
      }
      results.push({ streams, rounds: measured });
    }
  } finally {
    await stage.close();
  }
  return {
    name: 'rest',
    tables: [
      {
        title: 'REST answers while 720p30 streams flow to one destination each, milliseconds',
        columns: ['streams', 'call', 'p50', 'p99'],
        rows: results.flatMap(({ streams, rounds: all }) =>
          REST_CALLS.map((call) => [
            streams,
            call,
            figure(all.map((latency) => latency[call].p50)),
            figure(all.map((latency) => latency[call].p99)),
          ]),
        ),
      },
    ],
    plot: {
      title: 'REST answers while streams flow, p99',
      x: 'streams',
      y: 'milliseconds',
      series: REST_CALLS.map((call) => ({
        name: call,
        points: results.map(
          ({ streams, rounds: all }) =>
            [String(streams), figure(all.map((latency) => latency[call].p99)).median] as const,
        ),
      })),
    },
    data: { results },
  };
}
