import t from 'tap';
import { BenchProcess } from '../../bench/child-process.ts';
import type { SinkRequests } from '../../bench/sink-main.ts';
import { PersistentPublishers, startCluster } from '../helpers/cluster.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(120_000);

t.test('the push of a node that is killed goes on in standby on another node, and is live again', async (t) => {
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
  const { mediaSessionId, startedAt } = await manager.startPush({
    streamName: 'show',
    rtmpUrl,
    standby: { startWithStandby: true, source: 'color' },
  });
  await publishers.publish('show', cluster.managers);
  const index = await waitFor('the stream beside its push', async () => {
    const owner = await cluster.ownerOf('show');
    return owner === undefined ? undefined : { owner };
  });
  t.equal((await cluster.nodes[index.owner]!.rest('/push/find_all')).body.length, 1);
  await manager.rest('/push/mute', { mediaSessionId });
  // Nobody is to bring the push back by publishing.
  await publishers.unpublish('show');
  await manager.reached(mediaSessionId, 'standby');

  const before = (await sink.ask('streams', undefined)).length;
  process.kill(cluster.nodes[index.owner]!.pid, 'SIGKILL');
  const killedAt = performance.now();
  await waitFor(
    'frames',
    async () => {
      const streams = await sink.ask('streams', undefined);
      return streams.length > before && streams.at(-1)!.firstKeyFrameAt > 0;
    },
    { every: 20 },
  );
  t.comment(`frames again after ${Math.round(performance.now() - killedAt)} ms`);
  const view = await manager.reached(mediaSessionId, 'standby');
  t.match(view, { mediaSessionId, startedAt, muted: true });

  await publishers.publish('show', cluster.managers);
  await waitFor('the live stream', async () => {
    const { body } = await cluster.nodes[1 - index.owner]!.http('/api/v1/streams');
    return (body as { name: string; status: string }[]).some(
      ({ name, status }) => name === 'show' && status === 'live',
    );
  });
  await waitFor('the publisher at the push', async () => !(await manager.transponder(mediaSessionId))?.publisherAway);
  const pushes = await manager.rest('/push/find_all');
  t.equal(pushes.body.length, 1, 'one push, with the same id');
  t.equal((await sink.ask('streams', undefined)).length, before + 1, 'over the same connection');
  t.equal((await manager.rest('/push/terminate', { mediaSessionId })).status, 200);
  await manager.ended(mediaSessionId);
});
