import t, { type Test } from 'tap';
import { BenchProcess } from '../../bench/child-process.ts';
import type { SinkRequests, SinkStream } from '../../bench/sink-main.ts';
import { PersistentPublishers, startCluster } from '../helpers/cluster.ts';
import { startChromium } from '../helpers/chromium.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(120_000);

/** Milliseconds between two frames, over both connections, where the server refuses a second publisher of a name: ten times the usual value. */
const LIMIT_MS = 5000;

const [cluster, sink, publishers] = await Promise.all([
  startCluster({ nodes: 2 }),
  BenchProcess.start<SinkRequests>('../bench/sink-main.ts'),
  PersistentPublishers.start(),
]);
t.teardown(async () => {
  await publishers.stop();
  await cluster.stop();
  await sink.stop();
});
const manager = cluster.managers[0]!;
const rtmpUrl = `rtmp://127.0.0.1:${await sink.ask('listen', 0)}/live`;

/** Publishes a stream with a push that has standby and is muted, and returns what it is known by. */
async function publishAndPush(stream: string) {
  await publishers.publish(stream, cluster.managers);
  await waitFor('the publisher', async () => (await publishers.state(stream)).published === 1);
  const { mediaSessionId, startedAt } = await manager.startPush({
    streamName: stream,
    rtmpUrl,
    standby: { source: 'color', freezeMs: 0 },
  });
  await manager.rest('/push/mute', { mediaSessionId });
  await connections(stream, 1);
  return { mediaSessionId, startedAt, owner: (await cluster.ownerOf(stream))! };
}

/** The connections of a stream that have received frames, as soon as there are this many. */
const connections = (stream: string, count: number): Promise<SinkStream[]> =>
  waitFor(
    `${count} connections with frames`,
    async () => {
      const found = (await sink.ask('streams', undefined)).filter(({ name }) => name === `rtmp_${stream}`);
      return found.length === count && found.at(-1)!.firstKeyFrameAt > 0 ? found : undefined;
    },
    { every: 20 },
  );

async function restart(index: number): Promise<void> {
  await cluster.restartNode(index);
  await waitFor('both nodes', async () => (await manager.http('/api/v1/nodes')).body.length === 2);
}

/** Drains the node of the stream, which then is on the other one, with the same push; the drained process ends. */
async function drain(t: Test, stream: string, push: Awaited<ReturnType<typeof publishAndPush>>) {
  const { owner, mediaSessionId, startedAt } = push;
  const [from, to] = [cluster.nodes[owner]!, cluster.nodes[1 - owner]!];
  const answer = await manager.http(`/api/v1/nodes/node-${owner}/drain`, { method: 'POST' });
  t.match(answer, { status: 202, body: { status: 'draining' } });
  await waitFor('the live stream', async () => {
    const { body } = await to.http('/api/v1/streams');
    return (body as { name: string; status: string }[]).some(
      ({ name, status }) => name === stream && status === 'live',
    );
  });
  const both = await connections(stream, 2);
  await waitFor('the publisher at the push', async () => {
    const view = await manager.transponder(mediaSessionId);
    return view && !view.publisherAway;
  });
  t.match(await manager.transponder(mediaSessionId), { mediaSessionId, startedAt, muted: true });
  t.equal(await from.exited, 0, 'the drained process ends by itself');
  const pushes = await manager.rest('/push/find_all');
  t.equal(pushes.body.length, 1, 'one push');
  t.equal((await connections(stream, 2)).length, 2, 'over two connections');
  t.match(await to.http('/metrics'), { text: /gateway_cluster_streams_taken_total [1-9]/ });
  await manager.rest('/push/terminate', { mediaSessionId });
  await manager.ended(mediaSessionId);
  await publishers.unpublish(stream);
  return both;
}

t.test('the push of a live stream moves without a gap', async (t) => {
  const push = await publishAndPush('show');
  await drain(t, 'show', push);
  const [first, second] = await connections('show', 2);
  const overlapMs = Math.round(first!.lastArrival - second!.firstKeyFrameAt);
  t.comment(`both connections carried frames for ${overlapMs} ms`);
  t.ok(overlapMs > 0, `${overlapMs} ms`);
  await restart(push.owner);
});

t.test('where a server refuses a second publisher of a name, the gap is short and nothing is lost', async (t) => {
  await sink.ask('setExclusive', true);
  const push = await publishAndPush('exclusive');
  await drain(t, 'exclusive', push);
  const [first, second] = await connections('exclusive', 2);
  const gapMs = Math.round(second!.firstKeyFrameAt - first!.lastArrival);
  t.comment(`no frames for ${gapMs} ms`);
  t.ok(gapMs < LIMIT_MS, `${gapMs} ms`);
  await restart(push.owner);
});

t.test('a page of the Web SDK learns that its stream moves, and publishes again over the same WebSocket', async (t) => {
  const [chromium, server] = await Promise.all([startChromium(), startPageServer()]);
  t.teardown(async () => {
    await chromium.close();
    await server.close();
  });
  const page = await SdkPage.open(chromium, server);
  await page.publishTo(manager.wsUrl, { name: 'page' });
  const owner = (await cluster.ownerOf('page'))!;
  const { mediaSessionId } = await manager.startPush({ streamName: 'page', rtmpUrl, standby: { source: 'color' } });
  await connections('page', 1);
  await manager.http(`/api/v1/nodes/node-${owner}/drain`, { method: 'POST' });
  const { info } = await page.event('the end of the stream', ({ status }) => status === 'FAILED');
  t.match(info, /publish it again/);
  t.match(await page.publish({ name: 'page' }), { status: 'PUBLISHING' });
  t.equal(await cluster.ownerOf('page'), 1 - owner);
  await connections('page', 2);
  const view = await waitFor('the push to be live', async () => {
    const found = await manager.transponder(mediaSessionId);
    return found?.status === 'pushing' && !found.publisherAway ? found : undefined;
  });
  t.match(view, { mediaSessionId, attempt: 0 });
  t.equal(await cluster.nodes[owner]!.exited, 0);
  await manager.rest('/push/terminate', { mediaSessionId });
  await page.stop('page');
  await restart(owner);
});

t.test('the push of a node whose media workers hang is taken over like that of a dead one', async (t) => {
  const { owner, mediaSessionId, startedAt } = await publishAndPush('hanging');
  const workers = cluster.nodes[owner]!.children('media-worker');
  for (const { pid } of workers) process.kill(pid, 'SIGSTOP');
  const since = performance.now();
  const [first] = await connections('hanging', 2);
  t.comment(`frames from another node after ${Math.round(performance.now() - since)} ms`);
  t.ok(first!.endedAt > 0, 'the hanging node has ended its connection');
  t.match(await manager.transponder(mediaSessionId), { mediaSessionId, startedAt, muted: true });
  await waitFor(
    'the publisher at the other node',
    async () => !(await manager.transponder(mediaSessionId))?.publisherAway,
  );
  for (const { pid } of workers) process.kill(pid, 'SIGCONT');
  await waitFor('both nodes', async () => (await manager.http('/api/v1/nodes')).body.length === 2);
  t.equal((await manager.rest('/push/find_all')).body.length, 1);
  t.equal((await connections('hanging', 2)).length, 2);
});
