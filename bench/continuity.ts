import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../test/helpers/wait.ts';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage } from './bench-stage.ts';
import { figure, gatewayGroups, percentile, processorLoad, total, type Figure } from './measure.ts';
import { progress, type Report } from './report.ts';
import type { SinkStream } from './sink-main.ts';
import { stampClock } from './stamp.ts';

/** The freeze, the encoding of the clip, and the compiler's first work are over by then. */
const SETTLE_MS = 8000;
/** Publishers go at different moments of their key frame interval. */
const MOST_JITTER_MS = 2000;
const LOSS_TIMEOUT_MS = 60_000;

const nameOf = (index: number): string => `s${index}`;

/**
 * Pushes with standby whose publishers are killed: the processor time of a push in standby beside that of the same push
 * with live video, how fast standby and live video begin, and the gaps at the RTMP server.
 */
export async function benchContinuity({ rounds, seconds, counts, settings }: BenchOptions): Promise<Report> {
  const streams = counts[0]!;
  const stage = await setBenchStage({ settings: { publisher_resume_window_ms: 0, ...settings } });
  try {
    const load = (): Promise<number> => processorLoad(gatewayGroups(stage.gateway.pid), seconds).then(total);
    await sleep(SETTLE_MS);
    const idle = await load();
    const names = Array.from({ length: streams }, (_, index) => nameOf(index));
    for (const streamName of names)
      await stage.gateway.startPush({ streamName, rtmpUrl: stage.rtmpUrl, standby: STANDBY });
    await statusOfAll(stage, streams, 'standby');
    const live: number[] = [];
    const standby: number[] = [];
    const frozenAfter: number[] = [];
    const liveAfter: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const returned = new Map<string, number>();
      for (const name of names) {
        await stage.publishers.ask('publish', { name, url: stage.gateway.wsUrl });
        returned.set(name, stampClock());
      }
      await statusOfAll(stage, streams, 'pushing');
      liveAfter.push(...(await turns(stage, names, true, returned)));
      await sleep(SETTLE_MS);
      live.push((await load()) - idle);
      const lost = new Map<string, number>();
      await Promise.all(
        names.map(async (name) => {
          await sleep(Math.random() * MOST_JITTER_MS);
          lost.set(name, stampClock());
          await stage.publishers.ask('vanish', name);
        }),
      );
      frozenAfter.push(...(await turns(stage, names, false, lost)));
      await waitFor(
        'the losses to be noticed',
        async () => (await stage.gateway.http('/api/v1/streams')).body.length === 0,
        {
          timeout: LOSS_TIMEOUT_MS,
        },
      );
      await sleep(SETTLE_MS);
      standby.push((await load()) - idle);
      progress(
        `  round ${round + 1}/${rounds}: ${streams} pushes live ${live.at(-1)!.toFixed(1)} %, in standby ${standby.at(-1)!.toFixed(1)} % of a core`,
      );
    }
    const sink = await stage.sink.ask('streams');
    const each = (loads: readonly number[]): Figure => figure(loads.map((percent) => percent / streams));
    return report({
      kills: rounds * streams,
      live: each(live),
      standby: each(standby),
      ratio: figure(standby.map((percent, round) => percent / live[round]!)),
      frozenAfter,
      liveAfter,
      gap: Math.max(...sink.map(({ longestFrameGap }) => longestFrameGap)),
      arrivalGap: Math.max(...sink.map(({ longestArrivalGap }) => longestArrivalGap)),
      connections: sink.length / streams,
    });
  } finally {
    await stage.close();
  }
}

const STANDBY = { freezeMs: 1000, source: 'color', text: 'Back soon', startWithStandby: true };

interface Outcome {
  readonly kills: number;
  /** Percent of a core for one push. */
  readonly live: Figure;
  readonly standby: Figure;
  readonly ratio: Figure;
  /** Milliseconds, of each kill and of each return. */
  readonly frozenAfter: readonly number[];
  readonly liveAfter: readonly number[];
  /** Longest time between two video frames at the server, by their timestamps and by their arrival. */
  readonly gap: number;
  readonly arrivalGap: number;
  /** RTMP connections of each push: 1. */
  readonly connections: number;
}

function report(outcome: Outcome): Report {
  const { kills, live, standby, ratio, frozenAfter, liveAfter, gap, arrivalGap, connections } = outcome;
  const row = (what: string, times: readonly number[]) => {
    const sorted = [...times].sort((a, b) => a - b);
    return [what, percentile(sorted, 50), percentile(sorted, 95), sorted.at(-1)!];
  };
  return {
    name: 'continuity',
    tables: [
      {
        title: 'A push of 720p30, 2 Mbps: percent of a core',
        columns: ['live, passed through', 'in standby', 'standby : live'],
        rows: [[live, standby, ratio]],
      },
      {
        title: `Publishers killed ${kills} times: milliseconds at the RTMP server`,
        columns: ['', 'p50', 'p95', 'longest'],
        rows: [
          row('from the kill to the first frame that is not live', frozenAfter),
          row('from the SDP answer to the first live frame', liveAfter),
          ['between two frames, by their timestamps', undefined, undefined, gap],
          ['between two frames, by their arrival', undefined, undefined, arrivalGap],
          ['RTMP connections of each push', undefined, undefined, connections],
        ],
      },
    ],
    plot: {
      title: 'Cost of a push',
      x: '',
      y: 'percent of a core',
      series: [
        {
          name: '720p30',
          points: [
            ['live', live.median],
            ['standby', standby.median],
          ],
        },
      ],
    },
    data: { outcome },
  };
}

async function statusOfAll(stage: BenchStage, count: number, status: string): Promise<void> {
  await waitFor(
    `${count} pushes ${status}`,
    async () =>
      (await stage.gateway.rest('/push/find', {})).body.filter((view: { status: string }) => view.status === status)
        .length === count,
    { timeout: 30_000 },
  );
}

/** Waits until the frames of all streams are live, or are no longer. @returns milliseconds since the given times */
async function turns(
  stage: BenchStage,
  names: readonly string[],
  live: boolean,
  since: ReadonlyMap<string, number>,
): Promise<number[]> {
  const find = (streams: readonly SinkStream[], name: string): number | undefined => {
    const turn = streams.find((stream) => stream.name.endsWith(name))?.turns.at(-1);
    return turn?.live === live && turn.at >= since.get(name)! ? turn.at - since.get(name)! : undefined;
  };
  return waitFor(
    live ? 'live frames' : 'standby',
    async () => {
      const streams = await stage.sink.ask('streams');
      const times = names.map((name) => find(streams, name)).filter((time) => time !== undefined);
      return times.length === names.length ? times : undefined;
    },
    { timeout: 30_000 },
  );
}
