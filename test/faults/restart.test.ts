import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startGateway, type TestGateway } from '../helpers/gateway.ts';
import { createMedia, MediaPublisher } from '../helpers/media-publisher.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { waitFor } from '../helpers/wait.ts';

t.test('a gateway that is killed, or ended in order, continues its pushes with standby', async (t) => {
  const stateDir = await mkdtemp(join(tmpdir(), 'gateway-state-'));
  const fps = 30;
  const [server, backup, media] = await Promise.all([startNginxRtmp(), startNginxRtmp(), createMedia('640x360', fps)]);
  let gateway: TestGateway | undefined;
  t.teardown(async () => {
    await gateway?.stop();
    await Promise.all([server.stop(), backup.stop(), media.remove()]);
    await rm(stateDir, { recursive: true, force: true });
  });
  const start = (): Promise<TestGateway> => startGateway({ state_dir: stateDir });
  /** Publishes, and waits until the push is live. */
  const publish = async ({ httpUrl, reached }: TestGateway): Promise<MediaPublisher> => {
    const { video, audio } = media;
    const publisher = await MediaPublisher.start({ httpUrl, stream: 'show', fps, video, audio });
    await reached(mediaSessionId, 'pushing');
    return publisher;
  };

  gateway = await start();
  const { mediaSessionId, startedAt } = await gateway.startPush({
    streamName: 'show',
    rtmpUrl: server.rtmpUrl,
    backupUrl: backup.rtmpUrl,
    options: { action: 'mute' },
    standby: { startWithStandby: true, source: 'color' },
  });
  const ended = await gateway.startPush({
    streamName: 'show',
    rtmpUrl: `${server.rtmpUrl}/x`,
    rtmpTransponderFullUrl: true,
    standby: { startWithStandby: true, source: 'color' },
  });
  await gateway.reached(mediaSessionId, 'standby');
  await gateway.rest('/push/terminate', { mediaSessionId: ended.mediaSessionId });

  for (const end of ['SIGKILL', 'SIGTERM'] as const) {
    const publisher = await publish(gateway);
    process.kill(gateway.pid, end);
    await gateway.exited;
    await publisher.kill();
    const begun = performance.now();
    gateway = await start();
    const view = await gateway.reached(mediaSessionId, 'standby');
    t.comment(`${Math.round(performance.now() - begun)} ms after the start that follows ${end}`);
    t.match(view, { startedAt, muted: true, publisherAway: { since: String } });
    const running = gateway;
    await waitFor('both legs', async () =>
      (await running.transponder(mediaSessionId))?.legs.every(({ status }) => status === 'pushing'),
    );
    const found = await gateway.rest('/push/find_all');
    t.equal(found.body.length, 1, 'a push that was terminated stays ended');
    const history = await gateway.http('/api/v1/transponders?ended=true');
    t.strictSame(
      history.body.map((one: { mediaSessionId: string }) => one.mediaSessionId),
      [ended.mediaSessionId],
      'and the one that goes on has not ended',
    );
  }
  const publisher = await publish(gateway);
  t.match(await gateway.transponder(mediaSessionId), { legs: [{ status: 'pushing' }, { status: 'pushing' }] });
  await publisher.kill();
  t.equal((await gateway.rest('/push/terminate', { mediaSessionId })).status, 200);
  await gateway.ended(mediaSessionId);
});
