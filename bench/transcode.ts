import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage } from './bench-stage.ts';
import { figure, gatewayGroups, memory, processorLoad, total } from './measure.ts';
import { progress, type Report } from './report.ts';

const CASES: readonly (readonly [name: string, heights: readonly number[]])[] = [
  ['passed through, 3 destinations', [0, 0, 0]],
  ['one profile (360), 1 destination', [360]],
  ['one profile (360), 3 destinations', [360, 360, 360]],
  ['three profiles (360, 480, 240), 3 destinations', [360, 480, 240]],
];

/** Destinations that share a profile share an encoder. */
export async function benchTranscode({ rounds, seconds, settings, warmUp }: BenchOptions): Promise<Report> {
  const results: { name: string; load: Record<string, number>[]; memory: number }[] = [];
  const stage = await setBenchStage({ settings });
  try {
    await stage.publishers.ask('publish', { name: 'live', url: stage.gateway.wsUrl });
    for (const [name, heights] of CASES) {
      await stage.sink.ask('forget');
      const ids: string[] = [];
      for (const [index, height] of heights.entries())
        ids.push(
          (
            await stage.gateway.startPush({
              streamName: 'live',
              rtmpUrl: `${stage.rtmpUrl}/${index}`,
              ...(height && { height }),
            })
          ).mediaSessionId,
        );
      await stage.flowing(heights.length);
      await sleep(warmUp * 1000);
      const load: Record<string, number>[] = [];
      const groups = gatewayGroups(stage.gateway.pid);
      for (let round = 1; round <= rounds; round++) {
        load.push(await processorLoad(groups, seconds));
        progress(`  ${name}, round ${round}/${rounds}: ${total(load.at(-1)!).toFixed(1)} % of a core`);
      }
      results.push({ name, load, memory: total(memory(groups)) });
      for (const mediaSessionId of ids) await stage.gateway.rest('/push/terminate', { mediaSessionId });
      for (const id of ids) await stage.gateway.ended(id);
    }
  } finally {
    await stage.close();
  }
  const median = (of: readonly Record<string, number>[], part: string): number =>
    figure(of.map((load) => load[part]!)).median;
  return {
    name: 'transcode',
    tables: [
      {
        title: '720p30 re-encoded: percent of one core',
        columns: ['', 'all', 'video encoders', 'audio encoder', 'gateway', 'worker', 'memory, MB'],
        rows: results.map(({ name, load, memory: mb }) => [
          name,
          figure(load.map(total)),
          median(load, 'video'),
          median(load, 'audio'),
          median(load, 'gateway'),
          median(load, 'worker'),
          mb,
        ]),
      },
    ],
    plot: {
      title: 'Re-encoding, by destinations and profiles',
      x: '',
      y: 'percent of one core',
      series: [
        {
          name: 'all',
          points: results.map(
            ({ load }, index) =>
              [['passed', '1×360', '3×360', '3 profiles'][index]!, figure(load.map(total)).median] as const,
          ),
        },
      ],
    },
    data: results,
  };
}
