import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError } from './bench-error.ts';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage, type SourceTree } from './bench-stage.ts';
import { figure, gatewayGroups, memory, percentile, processorLoad, total, type Figure } from './measure.ts';
import { progress, type Report } from './report.ts';
import { REST_CALLS, restLatency, type RestCall, type RestLatency } from './rest-latency.ts';

/** After destinations have been added: new connections settle. */
const SETTLE_MS = 10_000;

interface Side {
  readonly load: number;
  readonly memoryMb: number;
  readonly p50: number;
  readonly p95: number;
  readonly rest: Record<RestCall, RestLatency>;
}

interface Measured {
  readonly title: string;
  readonly rounds: readonly { readonly here: Side; readonly other: Side }[];
}

/**
 * The gateways of two source trees, each with publishers and an RTMP server of its own, at the same moment under the same load: a machine whose speed
 * varies is as fast for the one as for the other.
 */
export async function benchVersus(options: BenchOptions): Promise<Report> {
  const { rounds, seconds, counts, fanOut, settings, warmUp } = options;
  const otherTree = await sourceTree(options.other);
  const stages: BenchStage[] = [];
  const results: Measured[] = [];
  try {
    stages.push(await setBenchStage({ settings }), await setBenchStage({ settings, tree: otherTree }));
    let running = 0;
    for (const streams of counts) {
      for (; running < streams; running++)
        for (const { publishers, gateway, rtmpUrl } of stages)
          await publishers.ask('publish', { name: `s${running}`, url: gateway.wsUrl, rtmpUrl });
      let each = 1;
      for (const destinations of fanOut > 1 ? [1, fanOut] : [1]) {
        for (; each < destinations; each++) for (const stage of stages) await addDestination(stage, streams, each);
        for (const stage of stages) await stage.flowing(streams * destinations);
        await sleep(results.length === 0 ? warmUp * 1000 : SETTLE_MS);
        const title = `${streams} → ${streams * destinations}`;
        results.push({ title, rounds: await measureRounds(title, stages, rounds, seconds) });
      }
      for (const stage of stages) await removeDestinations(stage);
    }
  } finally {
    for (const stage of stages) await stage.close();
  }
  return report(results);
}

/** Another source tree, with what its own set-up has built. */
async function sourceTree(folder: string | undefined): Promise<SourceTree> {
  if (folder === undefined) throw new BenchError('--other DIR must name another source tree, set up by `npm install`');
  const root = resolve(folder);
  const setUp = join(root, 'scripts/setup/opus-to-aac.mjs');
  if (!existsSync(join(root, 'src/main.ts')) || !existsSync(setUp) || !existsSync(join(root, 'node_modules')))
    throw new BenchError(`${root} is not a source tree of this project with its packages installed`);
  const ours = process.env['OPUS_TO_AAC_BIN'];
  delete process.env['OPUS_TO_AAC_BIN'];
  try {
    const { ensureOpusToAac } = (await import(pathToFileURL(setUp).href)) as {
      ensureOpusToAac(root: string): Promise<string>;
    };
    return { root, env: { OPUS_TO_AAC_BIN: await ensureOpusToAac(root) } };
  } finally {
    if (ours !== undefined) process.env['OPUS_TO_AAC_BIN'] = ours;
  }
}

async function addDestination({ gateway, sinkPort }: BenchStage, streams: number, copy: number): Promise<void> {
  for (let stream = 0; stream < streams; stream++)
    await gateway.startPush({ streamName: `s${stream}`, rtmpUrl: `rtmp://127.0.0.1:${sinkPort}/copy${copy}` });
}

/** Ends all pushes but those that were requested by the publishers. */
async function removeDestinations({ gateway }: BenchStage): Promise<void> {
  const { body } = await gateway.rest('/push/find_all', {});
  const pushes = body as { mediaSessionId: string; rtmpUrl: string }[];
  for (const { mediaSessionId, rtmpUrl } of pushes)
    if (rtmpUrl.includes('/copy')) await gateway.rest('/push/terminate', { mediaSessionId });
}

async function measureRounds(
  title: string,
  stages: readonly BenchStage[],
  rounds: number,
  seconds: number,
): Promise<Measured['rounds']> {
  const measured: { here: Side; other: Side }[] = [];
  for (let round = 1; round <= rounds; round++) {
    const media = await Promise.all(stages.map((stage) => measureMedia(stage, seconds)));
    // Afterwards, as requests cost processor time.
    const rest = await Promise.all(stages.map(({ gateway }) => restLatency(gateway.httpUrl, seconds)));
    const side = (index: number): Side => ({ ...media[index]!, rest: rest[index]! });
    const [here, other] = [side(0), side(1)];
    measured.push({ here, other });
    progress(
      `  ${title}, round ${round}/${rounds}: ${here.load.toFixed(2)} % here, ${other.load.toFixed(2)} % there, p95 ${here.p95.toFixed(1)} and ${other.p95.toFixed(1)} ms`,
    );
  }
  return measured;
}

async function measureMedia({ sink, gateway }: BenchStage, seconds: number): Promise<Omit<Side, 'rest'>> {
  await sink.ask('reset');
  const groups = gatewayGroups(gateway.pid);
  const load = total(await processorLoad(groups, seconds));
  const latencies = (await sink.ask('streams')).flatMap((stream) => stream.latencies).sort((a, b) => a - b);
  return {
    load,
    memoryMb: total(memory(groups)),
    p50: percentile(latencies, 50),
    p95: percentile(latencies, 95),
  };
}

function report(results: readonly Measured[]): Report {
  const of = ({ rounds }: Measured, side: 'here' | 'other', value: (side: Side) => number): Figure =>
    figure(rounds.map((round) => value(round[side])));
  const pair = (measured: Measured, value: (side: Side) => number): string =>
    (['here', 'other'] as const).map((side) => of(measured, side, value).median.toFixed(1)).join(' : ');
  return {
    name: 'versus',
    tables: [
      {
        title: '720p30, 2 Mbps, Opus, both source trees at the same moment; percent of one core, milliseconds, MB',
        columns: [
          'streams → destinations',
          '% here',
          '% other',
          'here : other',
          'latency p50 here : other',
          'p95',
          ...REST_CALLS.map((call) => `${call} p99`),
          'memory',
        ],
        rows: results.map((measured) => [
          measured.title,
          of(measured, 'here', ({ load }) => load),
          of(measured, 'other', ({ load }) => load),
          figure(measured.rounds.map(({ here, other }) => here.load / other.load)),
          pair(measured, ({ p50 }) => p50),
          pair(measured, ({ p95 }) => p95),
          ...REST_CALLS.map((call) => pair(measured, ({ rest }) => rest[call].p99)),
          pair(measured, ({ memoryMb }) => memoryMb),
        ]),
      },
    ],
    plot: {
      title: 'Processor time of both source trees at the same moment',
      x: 'streams → destinations',
      y: 'percent of one core',
      series: (['here', 'other'] as const).map((side) => ({
        name: side,
        points: results.map((measured) => [measured.title, of(measured, side, ({ load }) => load).median] as const),
      })),
    },
    data: { results },
  };
}
