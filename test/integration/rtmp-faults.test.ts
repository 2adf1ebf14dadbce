import t from 'tap';
import { createRtmpPusher } from '../../src/push/rtmp-pusher.ts';
import { createFlvTags, playTags } from '../helpers/flv-source.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { startNodeMediaServer } from '../helpers/node-media-server.ts';
import { death, pushTarget, ready } from '../helpers/push-target.ts';
import { waitFor } from '../helpers/wait.ts';

const tags = await createFlvTags({ videoBitrate: '2500k', size: '640x360' });
const create = createRtmpPusher();

void t.test('a server that stands still', async (t) => {
  const server = await startNginxRtmp({ record: false });
  t.teardown(() => server.stop());
  const pusher = create(pushTarget(`${server.rtmpUrl}/name`, { stallTimeoutMs: 1000 }));
  const died = death(pusher);
  let taken = 0;
  pusher.on('progress', (bytes) => (taken = bytes));
  await ready(pusher);
  const player = playTags(pusher, tags);
  await waitFor('acknowledgements', () => taken > 500_000, { every: 10 });
  server.freeze();
  const frozen = performance.now();
  const error = await died;
  player.stop();
  t.equal(error.code, 'DESTINATION_STALLED');
  const elapsed = performance.now() - frozen;
  // Acknowledgements due after 128 KiB are overdue after 256 KiB, which 2.5 Mbit/s need 0.8 s for; then the timeout and one look.
  t.ok(elapsed >= 900 && elapsed < 4000, `noticed after ${Math.round(elapsed)} ms, although the kernels take megabytes`);
});

void t.test('a short standstill does no harm', async (t) => {
  const server = await startNginxRtmp({ record: false });
  t.teardown(() => server.stop());
  const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
  pusher.on('died', (error) => t.fail(error.message));
  let taken = 0;
  pusher.on('progress', (bytes) => (taken = bytes));
  await ready(pusher);
  const player = playTags(pusher, tags);
  await waitFor('acknowledgements', () => taken > 300_000, { every: 10 });
  server.freeze();
  await waitFor('a backlog', () => pusher.backlog > 400_000, { every: 10 });
  server.resume();
  await waitFor('the backlog to go', () => pusher.backlog < 300_000, { every: 10 });
  player.stop();
  await pusher.close();
});

void t.test('a server that dies and comes back', async (t) => {
  for (const start of [startNginxRtmp, startNodeMediaServer]) {
    const server = await start({ record: false });
    t.teardown(() => server.stop());
    const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
    const died = death(pusher);
    await ready(pusher);
    const player = playTags(pusher, tags);
    await server.kill();
    t.match(await died, { code: 'DESTINATION_LOST', retryable: true });
    player.stop();
    t.match(await death(create(pushTarget(`${server.rtmpUrl}/name`))), { code: 'DESTINATION_UNREACHABLE', retryable: true });
    await server.restart();
    const again = create(pushTarget(`${server.rtmpUrl}/name`));
    await ready(again);
    await again.close();
  }
});

void t.test('what servers refuse', async (t) => {
  const server = await startNginxRtmp({ record: false, onPublish: (parameters) => (parameters.get('name') === 'forbidden' ? 403 : 200) });
  t.teardown(() => server.stop());
  const first = create(pushTarget(`${server.rtmpUrl}/taken`));
  await ready(first);
  t.match(await death(create(pushTarget(`${server.rtmpUrl}/taken`))), { code: 'DESTINATION_REFUSED', message: /NetStream\.Publish\.BadName: Already publishing/ });
  await first.close();
  // nginx-rtmp hangs up without a word in both cases.
  t.match(await death(create(pushTarget(`${server.rtmpUrl}/forbidden`))), { code: 'DESTINATION_LOST', message: /before it answered publish/ });
  t.match(await death(create(pushTarget(`rtmp://127.0.0.1:${server.port}/unknown/name`))), { code: 'DESTINATION_LOST', message: /before it answered connect/ });

  const media = await startNodeMediaServer({ record: false });
  t.teardown(() => media.stop());
  const pusher = create(pushTarget(`${media.rtmpUrl}/name`));
  await ready(pusher);
  // node-media-server says that the second publish has started, and hangs up.
  t.match(await death(create(pushTarget(`${media.rtmpUrl}/name`))), { code: 'DESTINATION_LOST' });
  await pusher.close();
});
