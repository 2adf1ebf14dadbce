import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage } from './bench-stage.ts';
import type { ClipCodec } from './clip.ts';
import { figure, gatewayGroups, processorLoad, total, type Figure } from './measure.ts';
import { progress, type Report } from './report.ts';

interface Case {
  readonly codec: ClipCodec;
  readonly name: string;
  readonly request: { readonly videoCodec: string; readonly audioCodec: string };
}

const CASES: readonly Case[] = [
  { codec: 'vp9', name: 'VP9 and Opus passed through', request: { videoCodec: 'source', audioCodec: 'source' } },
  { codec: 'vp9', name: 'VP9 to H.264, Opus to AAC', request: { videoCodec: 'h264', audioCodec: 'aac' } },
  { codec: 'h264', name: 'H.264 and Opus passed through', request: { videoCodec: 'h264', audioCodec: 'source' } },
  { codec: 'h264', name: 'H.264 passed through, Opus to AAC', request: { videoCodec: 'h264', audioCodec: 'aac' } },
];
const KBPS = 800;

interface Outcome {
  readonly name: string;
  /** Percent of a core for all streams. */
  readonly load: Figure;
  readonly groups: readonly Record<string, number>[];
}

/** What it costs to push streams as they are published, beside encoding them as H.264 and AAC. */
export async function benchPassThrough({ rounds, seconds, settings, warmUp, counts }: BenchOptions): Promise<Report> {
  const outcomes: Outcome[] = [];
  const streams = counts[0]!;
  for (const codec of ['vp9', 'h264'] as const) {
    const stage = await setBenchStage({ codec, kbps: KBPS, settings: { max_encoders: streams, ...settings } });
    try {
      const names = Array.from({ length: streams }, (_, index) => `show${index}`);
      for (const name of names) await stage.publishers.ask('publish', { name, url: stage.gateway.wsUrl });
      for (const { name, request } of CASES.filter((one) => one.codec === codec)) {
        await stage.sink.ask('forget');
        const ids: string[] = [];
        for (const streamName of names) {
          const push = await stage.gateway.startPush({
            streamName,
            rtmpUrl: `${stage.rtmpUrl}/${streamName}`,
            ...request,
          });
          ids.push(push.mediaSessionId);
        }
        await stage.flowing(streams);
        await sleep(warmUp * 1000);
        const groups = gatewayGroups(stage.gateway.pid);
        const loads: Record<string, number>[] = [];
        for (let round = 1; round <= rounds; round++) {
          loads.push(await processorLoad(groups, seconds));
          progress(`  ${name}, round ${round}/${rounds}: ${total(loads.at(-1)!).toFixed(1)} % of a core`);
        }
        outcomes.push({ name, load: figure(loads.map(total)), groups: loads });
        for (const mediaSessionId of ids) await stage.gateway.rest('/push/terminate', { mediaSessionId });
        for (const id of ids) await stage.gateway.ended(id);
      }
    } finally {
      await stage.close();
    }
  }
  const part = ({ groups }: Outcome, name: string): number => figure(groups.map((load) => load[name]!)).median;
  return {
    name: 'pass-through',
    tables: [
      {
        title: `${streams} streams (720p30, ${KBPS} kbit/s) to one destination each: percent of one core`,
        columns: ['', 'all', 'video encoders', 'audio encoder', 'gateway', 'worker'],
        rows: outcomes.map((outcome) => [
          outcome.name,
          outcome.load,
          ...['video', 'audio', 'gateway', 'worker'].map((name) => part(outcome, name)),
        ]),
      },
    ],
    plot: {
      title: 'Passing through and encoding',
      x: '',
      y: 'percent of one core',
      series: [{ name: 'all', points: outcomes.map(({ name, load }) => [name, load.median] as const) }],
    },
    data: outcomes,
  };
}
