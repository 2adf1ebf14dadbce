import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { BenchProcess } from '../../bench/child-process.ts';
import type { SinkRequests } from '../../bench/sink-main.ts';
import type { TransponderView } from '../../src/views/push-view.ts';
import { PersistentPublishers, startCluster } from '../helpers/cluster.ts';
import { waitFor } from '../helpers/wait.ts';

/** Faults on real processes: three nodes, two managers, one Redis. What happens without media is in the simulation. */

t.setTimeout(360_000);

const STREAMS = ['one', 'two', 'three'];
/** Milliseconds until a stream is published again, and until its destination receives frames again: ten times the usual value. */
const PUBLISHED_AGAIN = 30_000;
const PUSHED_AGAIN = 50_000;

const [cluster, sink, publishers] = await Promise.all([
  startCluster({
    nodes: 3,
    managers: 2,
    settings: { publisher_resume_window_ms: 8000, rtmp_push_restore: true, rtmp_push_restore_interval_ms: 500 },
  }),
  // A server that accepts a stream again while the connection of a hanging node is still open.
  BenchProcess.start<SinkRequests>('../bench/sink-main.ts'),
  PersistentPublishers.start(),
]);
const { managers, nodes, links, redis } = cluster;
const rtmpUrl = `rtmp://127.0.0.1:${await sink.ask('listen', 0)}/live`;
for (const stream of STREAMS) await publishers.publish(stream, managers);
t.teardown(async () => {
  await publishers.stop();
  await cluster.stop();
  await sink.stop();
});

interface Present {
  readonly stream: string;
  /** Nodes on which the stream is live. */
  readonly owners: readonly number[];
}

/** On which nodes the streams are live, by what the nodes themselves say. Nodes that do not answer are left out. */
async function present(): Promise<readonly Present[]> {
  const live = await Promise.all(
    nodes.map(async (node) => {
      const answer = await node.http('/api/v1/streams', { signal: AbortSignal.timeout(1000) }).catch(() => undefined);
      return new Set(
        ((answer?.status === 200 ? answer.body : []) as readonly { name: string; status: string }[])
          .filter(({ status }) => status === 'live')
          .map(({ name }) => name),
      );
    }),
  );
  return STREAMS.map((stream) => ({
    stream,
    owners: live.flatMap((names, index) => (names.has(stream) ? [index] : [])),
  }));
}

async function pushes(): Promise<readonly TransponderView[]> {
  for (const manager of managers) {
    const answer = await manager.rest('/push/find_all').catch(() => undefined);
    if (answer?.status === 200) return answer.body as TransponderView[];
  }
  return [];
}

/** Every stream is live on one node and its push carries data. */
async function isWhole(): Promise<boolean> {
  const [streams, running] = await Promise.all([present(), pushes()]);
  const pushing = new Set(
    running
      .filter(({ status, bytesSent }) => status === 'pushing' && bytesSent > 0)
      .map(({ sourceStreamName }) => sourceStreamName),
  );
  return streams.every(({ owners }) => owners.length === 1) && STREAMS.every((stream) => pushing.has(stream));
}

/** Watches that no stream is live on two nodes for longer than a loser needs to learn it. */
function watchOwners(): () => Promise<string[]> {
  const found: string[] = [];
  const since = new Map<string, number>();
  let watching = true;
  const loop = (async () => {
    while (watching) {
      for (const { stream, owners } of await present()) {
        if (owners.length < 2) since.delete(stream);
        else if (!since.has(stream)) since.set(stream, performance.now());
        else if (performance.now() - since.get(stream)! > 3000) found.push(`${stream} on ${owners.join(' and ')}`);
      }
      await sleep(250);
    }
  })();
  return async () => {
    watching = false;
    await loop;
    return found;
  };
}

/** Breaks something and measures until everything is whole again. */
async function fault(
  t: Pick<Test, 'ok' | 'strictSame' | 'comment'>,
  what: string,
  act: () => Promise<void> | void,
  heal: () => Promise<void> | void = () => undefined,
): Promise<void> {
  const stopWatching = watchOwners();
  const startedAt = performance.now();
  await act();
  await waitFor('all streams', async () => (await present()).every(({ owners }) => owners.length === 1), {
    timeout: PUBLISHED_AGAIN,
  });
  const publishedMs = Math.round(performance.now() - startedAt);
  await waitFor('all pushes', isWhole, { timeout: PUSHED_AGAIN });
  const pushedMs = Math.round(performance.now() - startedAt);
  await heal();
  await waitFor('all nodes', async () => (await managers[0]!.http('/api/v1/nodes')).body.length === 3, {
    timeout: 60_000,
  });
  await waitFor('everything whole', isWhole, { timeout: 60_000 });
  t.strictSame(await stopWatching(), [], 'no stream with two owners');
  t.comment(`${what}: published again after ${publishedMs} ms, pushed again after ${pushedMs} ms`);
}

/** How often each publisher has published. */
const published = (): Promise<number[]> =>
  Promise.all(STREAMS.map(async (stream) => (await publishers.state(stream)).published));

const ownerOf = async (stream: string): Promise<number> =>
  (await present()).find((one) => one.stream === stream)!.owners[0]!;

t.test('three streams are published and pushed through the managers', async (t) => {
  await waitFor('all streams', async () => (await present()).every(({ owners }) => owners.length === 1));
  for (const streamName of STREAMS) await managers[0]!.startPush({ streamName, rtmpUrl });
  await waitFor('all pushes', isWhole);
  t.equal((await pushes()).length, 3);
});

t.test('kill -9', async (t) => {
  const index = await ownerOf('one');
  await fault(
    t,
    'kill -9',
    () => void process.kill(nodes[index]!.pid, 'SIGKILL'),
    () => cluster.restartNode(index),
  );
});

t.test('SIGSTOP', async (t) => {
  const index = await ownerOf('two');
  await fault(
    t,
    'SIGSTOP',
    () => void process.kill(nodes[index]!.pid, 'SIGSTOP'),
    () => void process.kill(nodes[index]!.pid, 'SIGCONT'),
  );
});

t.test('the network between a node and Redis is cut: its streams go on', async (t) => {
  const index = await ownerOf('three');
  const { published: before } = await publishers.state('three');
  const ids = (await pushes()).map(({ mediaSessionId }) => mediaSessionId).sort();
  const stopWatching = watchOwners();
  const cut = setInterval(() => links[index]!.cut(), 20);
  await waitFor('its absence', async () => (await managers[0]!.http('/api/v1/nodes')).body.length === 2);
  for (let second = 0; second < 5; second++) {
    await sleep(1000);
    t.ok(await isWhole(), `${second} s later`);
  }
  clearInterval(cut);
  await waitFor('its return', async () => (await managers[0]!.http('/api/v1/nodes')).body.length === 3);
  await sleep(2000);
  t.ok(await isWhole());
  t.strictSame(await stopWatching(), []);
  t.strictSame((await pushes()).map(({ mediaSessionId }) => mediaSessionId).sort(), ids);
  t.equal((await publishers.state('three')).published, before, 'the publisher has noticed nothing');
});

t.test('Redis is restarted without its data: nothing ends', async (t) => {
  const before = await published();
  const ids = (await pushes()).map(({ mediaSessionId }) => mediaSessionId).sort();
  await fault(t, 'Redis restart', () => redis.restart());
  await sleep(3000);
  t.ok(await isWhole());
  t.strictSame(await published(), before);
  t.strictSame((await pushes()).map(({ mediaSessionId }) => mediaSessionId).sort(), ids);
});

t.test('Redis is away: nothing ends, new streams are refused, and accepted when it is back', async (t) => {
  const before = await published();
  redis.freeze();
  const refusal = await waitFor('the refusal', async () => {
    const answer = await nodes[0]!.http('/whip/new', {
      method: 'POST',
      headers: { 'content-type': 'application/sdp' },
      body: 'v=0',
    });
    return answer.body?.exception === 'CLUSTER_UNAVAILABLE' ? answer : undefined;
  });
  t.equal(refusal.status, 503);
  await sleep(process.env['LONG_TESTS'] ? 30_000 : 8000);
  t.ok((await present()).every(({ owners }) => owners.length === 1));
  redis.resume();
  await publishers.publish('late', managers);
  await waitFor('the new stream', async () => (await publishers.state('late')).published > 0);
  await publishers.unpublish('late');
  await waitFor('everything whole', isWhole);
  t.strictSame(await published(), before);
});

t.test('drain and SIGTERM: the streams move to other nodes', async (t) => {
  const index = await ownerOf('one');
  await managers[1]!.http(`/api/v1/nodes/node-${index}/drain`, { method: 'POST' });
  await fault(
    t,
    'drain and SIGTERM',
    () => void process.kill(nodes[index]!.pid, 'SIGTERM'),
    async () => {
      t.equal(await nodes[index]!.exited, 0);
      await cluster.restartNode(index);
    },
  );
});
