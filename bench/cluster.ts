import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeRecord } from '../src/cluster/cluster-store.ts';
import { PlacementLedger, rankNodes } from '../src/cluster/placement.ts';
import { PersistentPublishers, startCluster, type TestCluster } from '../test/helpers/cluster.ts';
import { processorMs } from '../test/helpers/processes.ts';
import { waitFor } from '../test/helpers/wait.ts';
import type { BenchOptions } from './bench-options.ts';
import { figure, percentile } from './measure.ts';
import { progress, type Report } from './report.ts';

/** Requests that are measured in each round, one after the other. */
const REQUESTS = 300;
/** An offer without media, which a node refuses: what remains is the way to it. */
const OFFER = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n';
const NODES = 100;
const PLACED = 10_000;

interface Calls {
  readonly p50: number;
  readonly p99: number;
  /** Of the measured process. */
  readonly cpuMs: number;
}

/** What a manager costs, and how long a stream is away when its node is killed. */
export async function benchCluster({ rounds, counts }: BenchOptions): Promise<Report> {
  const kills = counts[0] ?? rounds;
  const placement = measurePlacement();
  progress(`  placement: ${placement.toFixed(1)} µs for each stream with ${NODES} nodes`);
  const cluster = await startCluster({ nodes: 3, managers: 2, settings: { publisher_resume_window_ms: 5000 } });
  const publishers = await PersistentPublishers.start();
  try {
    const calls = { direct: [] as Calls[], manager: [] as Calls[] };
    for (let round = 1; round <= rounds; round++) {
      calls.direct.push(await measureCalls(cluster.nodes[0]!.httpUrl, cluster.nodes[0]!.pid));
      calls.manager.push(await measureCalls(cluster.managers[0]!.httpUrl, cluster.managers[0]!.pid));
      const [direct, through] = [calls.direct.at(-1)!, calls.manager.at(-1)!];
      progress(
        `  round ${round}/${rounds}: POST at the node p50 ${direct.p50.toFixed(2)} ms, through the manager ${through.p50.toFixed(2)} ms and ${through.cpuMs.toFixed(2)} ms of its CPU`,
      );
    }
    const away = await measureKills(cluster, publishers, kills);
    const sorted = [...away].sort((a, b) => a - b);
    return {
      name: 'cluster',
      tables: [
        {
          title: `WHIP POST, ${REQUESTS} in a row`,
          columns: ['', 'p50, ms', 'p99, ms', 'CPU of the process, ms'],
          rows: (['direct', 'manager'] as const).map((kind) => [
            kind === 'direct' ? 'at the node' : 'through a manager',
            figure(calls[kind].map(({ p50 }) => p50)),
            figure(calls[kind].map(({ p99 }) => p99)),
            figure(calls[kind].map(({ cpuMs }) => cpuMs)),
          ]),
        },
        {
          title: `From kill -9 of the node until the stream is published again, ${kills} kills`,
          columns: ['p50, ms', 'p99, ms'],
          rows: [[Math.round(percentile(sorted, 50)), Math.round(percentile(sorted, 99))]],
        },
        {
          title: `Choice of the node, ${NODES} nodes`,
          columns: ['µs for each stream'],
          rows: [[Math.round(placement)]],
        },
      ],
      plot: {
        title: 'From kill -9 until published again',
        x: 'kill',
        y: 'milliseconds',
        series: [{ name: 'away', points: away.map((ms, index) => [index + 1, ms] as const) }],
      },
      data: { calls, away, placement },
    };
  } finally {
    await publishers.stop();
    await cluster.stop();
  }
}

/** POSTs an offer without media, which its node refuses. */
async function measureCalls(httpUrl: string, pid: number): Promise<Calls> {
  const taken: number[] = [];
  const post = async (): Promise<void> => {
    const startedAt = performance.now();
    const answer = await fetch(`${httpUrl}/whip/bench`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp' },
      body: OFFER,
    });
    await answer.arrayBuffer();
    if (answer.status !== 400 && answer.status !== 422) throw new Error(`POST answered ${answer.status}`);
    taken.push(performance.now() - startedAt);
  };
  for (let warmUp = 0; warmUp < 50; warmUp++) await post();
  taken.length = 0;
  const before = processorMs(pid);
  for (let request = 0; request < REQUESTS; request++) await post();
  const cpuMs = (processorMs(pid) - before) / REQUESTS;
  taken.sort((a, b) => a - b);
  return { p50: percentile(taken, 50), p99: percentile(taken, 99), cpuMs };
}

/** Kills the node that carries a stream, again and again. */
async function measureKills(
  cluster: TestCluster,
  publishers: PersistentPublishers,
  kills: number,
): Promise<readonly number[]> {
  const away: number[] = [];
  await publishers.publish('stream', cluster.managers);
  for (let kill = 1; kill <= kills; kill++) {
    const index = await waitFor('the owner', async () => {
      const owner = await cluster.ownerOf('stream');
      return owner === undefined ? undefined : { owner };
    });
    const { published } = await publishers.state('stream');
    process.kill(cluster.nodes[index.owner]!.pid, 'SIGKILL');
    const startedAt = performance.now();
    await waitFor('the stream', async () => (await publishers.state('stream')).published > published, { every: 10 });
    away.push(performance.now() - startedAt);
    await cluster.restartNode(index.owner);
    progress(`  kill ${kill}/${kills}: published again after ${Math.round(away.at(-1)!)} ms`);
    await sleep(500);
  }
  return away;
}

/** Microseconds for the choice of a node. */
function measurePlacement(): number {
  const nodes = Array.from({ length: NODES }, (_, index): NodeRecord => ({
    id: `n${index}`,
    instance: 'i',
    url: 'http://node.example',
    wsUrl: 'ws://node.example',
    region: '',
    group: '',
    state: 'in-service',
    version: '1',
    capacity: 200,
    publications: 0,
    pushes: 0,
    encoders: 0,
    cpu: 0,
    overloaded: false,
    drain: 'no',
    toMove: 0,
    beat: 1,
    startedAt: 0,
  }));
  const ledger = new PlacementLedger();
  const startedAt = performance.now();
  for (let stream = 0; stream < PLACED; stream++) ledger.placed(rankNodes(ledger.adjust(nodes), {}, Math.random)[0]!);
  return ((performance.now() - startedAt) / PLACED) * 1000;
}
