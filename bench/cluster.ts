import { setTimeout as sleep } from 'node:timers/promises';
import { PlacementLedger, rankNodes } from '../src/cluster/placement.ts';
import { PersistentPublishers, startCluster, type TestCluster } from '../test/helpers/cluster.ts';
import type { TestGateway } from '../test/helpers/gateway.ts';
import { nodeRecord } from '../test/helpers/node-record.ts';
import { processorMs } from '../test/helpers/processes.ts';
import { waitFor } from '../test/helpers/wait.ts';
import { BenchError } from './bench-error.ts';
import type { BenchOptions } from './bench-options.ts';
import { BenchProcess } from './child-process.ts';
import { figure, percentile } from './measure.ts';
import { progress, type Report } from './report.ts';
import type { SinkRequests } from './sink-main.ts';
import { stampClock } from './stamp.ts';

/** Requests that are measured in each round, one after the other. */
const REQUESTS = 300;
/** An offer without media, which a node refuses: what remains is the way to it. */
const OFFER = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n';
const NODES = 100;
const PLACED = 10_000;

/** The stream that is published, and the one whose publisher is away. */
const STREAM = 'stream';
const AWAY = 'away';

interface Calls {
  readonly p50: number;
  readonly p99: number;
  /** Of the measured process. */
  readonly cpuMs: number;
}

/** A request that is measured: at a node, and through a manager. */
interface Question {
  readonly what: string;
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
  /** The status of the expected answers. */
  readonly answers: readonly number[];
}

const QUESTIONS: readonly Question[] = [
  // Refused: the stream is not published, and the offer has no media.
  { what: 'WHIP POST', path: '/whip/bench', contentType: 'application/sdp', body: OFFER, answers: [400, 422] },
  // Through a manager all nodes are asked.
  { what: '/push/find', path: '/rest-api/push/find', contentType: 'application/json', body: '{}', answers: [200, 404] },
];

/** What a manager costs, and how long streams and pushes are away when their node is killed. */
export async function benchCluster({ rounds, counts }: BenchOptions): Promise<Report> {
  const kills = counts[0] ?? rounds;
  const placement = measurePlacement();
  progress(`  placement: ${placement.toFixed(1)} µs for each stream with ${NODES} nodes`);
  const [cluster, publishers, sink] = await Promise.all([
    startCluster({
      nodes: 3,
      managers: 2,
      settings: { publisher_resume_window_ms: 5000, max_http_requests_per_second: 100_000, log_level: 'info' },
    }),
    PersistentPublishers.start(),
    BenchProcess.start<SinkRequests>('./sink-main.ts'),
  ]);
  try {
    const rtmpUrl = `rtmp://127.0.0.1:${await sink.ask('listen', 0)}/live`;
    await cluster.managers[0]!.startPush({
      streamName: AWAY,
      rtmpUrl,
      standby: { startWithStandby: true, source: 'color' },
    });
    const rows = [];
    for (const question of QUESTIONS) rows.push(...(await measureQuestion(cluster, question, rounds)));
    const published = await measureKills(kills, cluster, () => publishAgain(cluster, publishers), 'published again');
    const taken = await measureKills(kills, cluster, () => takenOver(cluster, sink), 'push in standby taken over');
    const kill = (what: string, times: readonly number[]) => {
      const sorted = [...times].sort((a, b) => a - b);
      return [what, ...[percentile(sorted, 50), percentile(sorted, 99), sorted.at(-1)!].map(Math.round)];
    };
    const series = (name: string, times: readonly number[]) => ({
      name,
      points: times.map((ms, index) => [index + 1, ms] as const),
    });
    return {
      name: 'cluster',
      tables: [
        {
          title: `Requests, ${REQUESTS} in a row, 3 nodes`,
          columns: ['', 'p50, ms', 'p99, ms', 'CPU of the process that is asked, ms'],
          rows,
        },
        {
          title: `From kill -9 of the node, ${kills} kills each`,
          columns: ['', 'p50, ms', 'p99, ms', 'longest, ms'],
          rows: [
            kill('until the stream is published again on another node (WHIP)', published),
            kill('until the destination of a push in standby has frames of the new connection', taken),
          ],
        },
        {
          title: `Choice of the node, ${NODES} nodes`,
          columns: ['µs for each stream'],
          rows: [[Math.round(placement)]],
        },
      ],
      plot: {
        title: 'From kill -9 of a node',
        x: 'kill',
        y: 'milliseconds',
        series: [series('published again', published), series('push in standby', taken)],
      },
      data: { published, taken, placement },
    };
  } finally {
    await publishers.stop();
    await cluster.stop();
    await sink.stop();
  }
}

async function measureQuestion(cluster: TestCluster, question: Question, rounds: number) {
  const asked = { 'at a node': cluster.nodes[0]!, 'through a manager': cluster.managers[0]! };
  const calls = Object.entries(asked).map(([where, gateway]) => ({ where, gateway, rounds: [] as Calls[] }));
  for (let round = 0; round < rounds; round++)
    for (const { gateway, rounds: measured } of calls) measured.push(await measureCalls(gateway, question));
  return calls.map(({ where, rounds: measured }) => {
    const [p50, p99, cpuMs] = (['p50', 'p99', 'cpuMs'] as const).map((key) => figure(measured.map((one) => one[key])));
    progress(`  ${question.what} ${where}: p50 ${p50!.median.toFixed(2)} ms, ${cpuMs!.median.toFixed(2)} ms of CPU`);
    return [`${question.what} ${where}`, p50!, p99!, cpuMs!];
  });
}

async function measureCalls({ httpUrl, pid }: TestGateway, question: Question): Promise<Calls> {
  const { path, contentType, body, answers } = question;
  const taken: number[] = [];
  const post = async (): Promise<void> => {
    const startedAt = performance.now();
    const answer = await fetch(httpUrl + path, { method: 'POST', headers: { 'content-type': contentType }, body });
    await answer.arrayBuffer();
    if (!answers.includes(answer.status)) throw new BenchError(`${path} answered ${answer.status}`);
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

/** Something that a node carries: `node` is killed, then `back` resolves with the milliseconds until it is there again. */
interface Victim {
  readonly node: number;
  readonly back: (killedAt: number) => Promise<number>;
}

/** Kills the node that carries something, again and again. @returns milliseconds until it was there again */
async function measureKills(
  kills: number,
  cluster: TestCluster,
  find: () => Promise<Victim>,
  what: string,
): Promise<readonly number[]> {
  const times: number[] = [];
  for (let kill = 1; kill <= kills; kill++) {
    const { node, back } = await find();
    const killedAt = stampClock();
    process.kill(cluster.nodes[node]!.pid, 'SIGKILL');
    times.push(await back(killedAt));
    await cluster.restartNode(node);
    progress(`  kill ${kill}/${kills}: ${what} after ${Math.round(times.at(-1)!)} ms`);
    // The other nodes have seen the new one.
    await sleep(1500);
  }
  return times;
}

async function publishAgain(cluster: TestCluster, publishers: PersistentPublishers): Promise<Victim> {
  const hasPublished = async (): Promise<boolean> => (await publishers.state(STREAM)).published > 0;
  if (!(await hasPublished())) await publishers.publish(STREAM, cluster.managers);
  // A client that still connects when its node is killed notices that after seconds.
  await waitFor('the first publication', hasPublished);
  const { node } = await waitFor('the owner', async () => {
    const owner = await cluster.ownerOf(STREAM);
    return owner === undefined ? undefined : { node: owner };
  });
  const { published } = await publishers.state(STREAM);
  return {
    node,
    back: async (killedAt) => {
      const again = async (): Promise<boolean> => (await publishers.state(STREAM)).published > published;
      await waitFor('the stream', again, { every: 10, timeout: 20_000 });
      return stampClock() - killedAt;
    },
  };
}

async function takenOver(cluster: TestCluster, sink: BenchProcess<SinkRequests>): Promise<Victim> {
  const { node } = await waitFor('the push', async () => {
    const lists = await Promise.all(cluster.nodes.map((one) => one.rest('/push/find', { streamName: AWAY })));
    const index = lists.findIndex(({ status, body }) => status === 200 && body[0].status === 'standby');
    return index < 0 ? undefined : { node: index };
  });
  return {
    node,
    back: (killedAt) =>
      waitFor(
        'frames',
        async () => {
          const next = (await sink.ask('streams')).find(({ connectedAt }) => connectedAt > killedAt);
          return next && next.firstKeyFrameAt > 0 ? next.firstKeyFrameAt - killedAt : undefined;
        },
        { every: 20, timeout: 20_000 },
      ),
  };
}

/** Microseconds for the choice of a node. */
function measurePlacement(): number {
  const nodes = Array.from({ length: NODES }, (_, index) => nodeRecord(`n${index}`, { capacity: 200 }));
  const ledger = new PlacementLedger();
  const startedAt = performance.now();
  for (let stream = 0; stream < PLACED; stream++) ledger.placed(rankNodes(ledger.adjust(nodes), {}, Math.random)[0]!);
  return ((performance.now() - startedAt) / PLACED) * 1000;
}
