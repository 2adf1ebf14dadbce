import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { TagGroup } from '../../src/media/containers/tag-group.ts';
import { createRtmpPusher } from '../../src/outputs/push/rtmp-pusher.ts';
import { createFlvTags, playTags } from '../helpers/flv-source.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { startNodeMediaServer } from '../helpers/node-media-server.ts';
import { pushEngines, pushing, refusal } from '../helpers/push-engines.ts';
import { death, pushTarget, ready } from '../helpers/push-target.ts';
import { waitFor } from '../helpers/wait.ts';

const tags = await createFlvTags({ videoBitrate: '2500k', size: '640x360' });

/**
 * Longest time until a hanging server is detected with a stall timeout of 1 s, in milliseconds. The gateway's client: acknowledgements due after 128 KiB are
 * overdue after 256 KiB, which take 0.8 s at 2.5 Mbit/s; then the timeout and one check: 2 s, and less than the kernels take. ffmpeg ignores acknowledgements: its
 * send buffer and the server's receive buffer, at most 1.5 MB together, must be full, which takes 5 s.
 */
const NOTICED = { rtmp: 10_000, ffmpeg: 30_000 };

for (const engine of pushEngines) {
  const create = engine.createFactory();

  void t.test(`push_engine=${engine.name}: a server that hangs`, async (t) => {
    const server = await startNginxRtmp({ record: false });
    t.teardown(() => server.stop());
    const pusher = create(pushTarget(`${server.rtmpUrl}/name`, { stallTimeoutMs: 1000 }));
    const died = death(pusher);
    let taken = 0;
    pusher.on('progress', (bytes) => (taken = bytes));
    const player = await pushing(pusher, tags);
    await waitFor('media to be taken', () => taken > 300_000, { every: 10 });
    server.freeze();
    const frozen = performance.now();
    const error = await died;
    player.stop();
    t.equal(error.code, 'DESTINATION_STALLED');
    const elapsed = performance.now() - frozen;
    t.ok(
      elapsed >= 500 && elapsed < NOTICED[engine.name],
      `noticed after ${Math.round(elapsed)} ms, although the kernels take megabytes`,
    );
    await pusher.close();
  });

  void t.test(
    `push_engine=${engine.name}: a gateway that could not run for longer than the stall timeout reports no stall`,
    async (t) => {
      const server = await startNginxRtmp({ record: false });
      t.teardown(() => server.stop());
      const pusher = create(pushTarget(`${server.rtmpUrl}/name`, { stallTimeoutMs: 500 }));
      pusher.on('died', (error) => t.fail(error.message));
      let taken = 0;
      pusher.on('progress', (bytes) => (taken = bytes));
      const player = await pushing(pusher, tags);
      await waitFor('media to be taken', () => taken > 300_000, { every: 10 });
      player.stop();
      const before = taken;
      // More than a pipe takes at once. The answers wait until this process runs again.
      for (const tag of tags)
        if (!tag.sequenceHeader) pusher.write(new TagGroup([{ ...tag, timestamp: tag.timestamp + 10_000 }]));
      await immediate();
      for (const end = performance.now() + 1000; performance.now() < end;);
      let more = 20_000;
      await waitFor(
        'the rest to be taken',
        () => {
          pusher.write(new TagGroup([{ ...tags.at(-1)!, timestamp: (more += 20) }]));
          return taken > before + 300_000;
        },
        { every: 20 },
      );
      await pusher.close();
    },
  );

  void t.test(`push_engine=${engine.name}: a server that is killed and restarted`, async (t) => {
    for (const start of [startNginxRtmp, startNodeMediaServer]) {
      const server = await start({ record: false });
      t.teardown(() => server.stop());
      const target = pushTarget(`${server.rtmpUrl}/name`);
      const pusher = create(target);
      const died = death(pusher);
      const player = await pushing(pusher, tags);
      await server.kill();
      t.match(await died, { code: 'DESTINATION_LOST', retryable: true });
      player.stop();
      await pusher.close();
      t.match(await refusal(create(target), tags), { code: 'DESTINATION_UNREACHABLE', retryable: true });
      await server.restart();
      t.equal(await refusal(create(target), tags), undefined, 'pushed again');
    }
  });

  void t.test(`push_engine=${engine.name}: refusals of servers`, async (t) => {
    const server = await startNginxRtmp({
      record: false,
      onPublish: (parameters) => (parameters.get('name') === 'forbidden' ? 403 : 200),
    });
    t.teardown(() => server.stop());
    const first = create(pushTarget(`${server.rtmpUrl}/taken`));
    const player = await pushing(first, tags);
    // ffmpeg does not log the code, NetStream.Publish.BadName.
    t.match(await refusal(create(pushTarget(`${server.rtmpUrl}/taken`)), tags), {
      code: 'DESTINATION_REFUSED',
      retryable: false,
      message: /Already publishing/,
    });
    player.stop();
    await first.close();
    // nginx-rtmp closes the connection without a status in both cases. The gateway's client names the command.
    const lost = (command: string): object => ({
      code: 'DESTINATION_LOST',
      message: engine.name === 'rtmp' ? `before it answered ${command}` : 'was lost',
    });
    t.match(await refusal(create(pushTarget(`${server.rtmpUrl}/forbidden`)), tags), lost('publish'));
    t.match(await refusal(create(pushTarget(`rtmp://127.0.0.1:${server.port}/unknown/name`)), tags), lost('connect'));

    const media = await startNodeMediaServer({ record: false });
    t.teardown(() => media.stop());
    const pusher = create(pushTarget(`${media.rtmpUrl}/name`));
    const playing = await pushing(pusher, tags);
    // node-media-server confirms the second publish, and closes the connection.
    const second = create(pushTarget(`${media.rtmpUrl}/name`));
    second.once('ready', () => playTags(second, tags));
    t.match(await death(second), { code: 'DESTINATION_LOST' });
    playing.stop();
    await Promise.all([pusher.close(), second.close()]);
  });
}

// Only for the gateway's own client, because ffmpeg does not report what is in transit.
void t.test('a short pause of the server does no harm', async (t) => {
  const server = await startNginxRtmp({ record: false });
  t.teardown(() => server.stop());
  const pusher = createRtmpPusher()(pushTarget(`${server.rtmpUrl}/name`));
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
