import { rm } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { openFiles } from '../helpers/processes.ts';
import { analyse, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

// One stream is pushed to a server that fails and to one that does not. After each fault the first push has recovered or ended with the
// right reason, and the second is unaffected.
const ATTEMPTS = 4;
let refuse = false;
let refused = 0;
const {
  gateway,
  nginx: frail,
  publisher,
} = await setStage(t, {
  settings: {
    rtmp_push_restore: true,
    rtmp_push_restore_attempts: ATTEMPTS,
    rtmp_push_restore_interval_ms: 500,
    rtmp_push_stall_timeout_ms: 1500,
  },
  nginx: {
    onPublish: () => {
      if (!refuse) return 200;
      refused += 1;
      return 404;
    },
  },
});
const steady = await startNginxRtmp();
t.teardown(() => steady.stop());
// Noise, because a frozen server is detected only after several hundred kilobytes without acknowledgement.
const page = await publisher({ name: 'show', source: 'noise', sourceOptions: { width: 320, height: 180 } });
const neighbour = await gateway.startPush({ streamName: 'show', rtmpUrl: steady.rtmpUrl });
await gateway.reached(neighbour.mediaSessionId, 'pushing');
const files = openFiles(gateway.pid);

const frailFile = recordingOf(frail, 'rtmp_show');
const push = async (t: Test): Promise<string> => {
  await rm(frailFile, { force: true });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'show', rtmpUrl: frail.rtmpUrl });
  t.teardown(async () => void (await gateway.rest('/push/terminate', { mediaSessionId })));
  await gateway.reached(mediaSessionId, 'pushing');
  await recorded(frailFile, 500);
  return mediaSessionId;
};
/** Checks the recording of a new connection: headers, then a key frame, timestamps from 0. */
const beginsAnew = async (test: Test): Promise<void> => {
  await recorded(frailFile, 1000);
  const recording = await analyse(frailFile);
  test.ok(recording.startsWithKeyFrame, 'begins with a key frame');
  test.ok(recording.video.sequenceHeaders >= 1 && recording.audio.sequenceHeaders >= 1, 'and with sequence headers');
  test.strictSame(recording.decodeErrors, []);
  test.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], []);
};

await t.test('a server that is killed and restarted receives the stream again', async (t) => {
  const id = await push(t);
  await frail.kill();
  t.match(await gateway.reached(id, 'retrying'), { reason: /./ });
  await rm(frailFile, { force: true });
  await frail.restart();
  t.match(await gateway.reached(id, 'pushing'), { reason: '' });
  await beginsAnew(t);
});

await t.test('a frozen server is detected and receives the stream again after it resumes', async (t) => {
  const id = await push(t);
  // A server that acknowledges is judged by its acknowledgements; with push_engine=ffmpeg, by full buffers.
  await waitFor('a second acknowledgement', async () => (await gateway.transponder(id))!.bytesSent > 200_000);
  frail.freeze();
  t.teardown(() => frail.resume());
  // With ffmpeg up to 1.5 MB must be sent first, for which a browser on a busy machine needs half a minute.
  const view = await gateway.reached(id, 'retrying', 60_000);
  t.equal(view.reasonCode, 'DESTINATION_STALLED', view.reason);
  await rm(frailFile, { force: true });
  frail.resume();
  await gateway.reached(id, 'pushing');
  await beginsAnew(t);
});

await t.test('after a network failure the push retries until the server frees the name', async (t) => {
  const proxy = await startTcpProxy(frail.port);
  t.teardown(() => proxy.close());
  await rm(frailFile, { force: true });
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'show',
    rtmpUrl: `rtmp://127.0.0.1:${proxy.port}/live`,
  });
  t.teardown(async () => void (await gateway.rest('/push/terminate', { mediaSessionId })));
  await gateway.reached(mediaSessionId, 'pushing');
  const letGo = proxy.strand();
  const view = await waitFor('a refusal of the name', async () => {
    const view = await gateway.transponder(mediaSessionId);
    return view && /Already publishing/.test(view.reason ?? '') ? view : undefined;
  });
  t.match(view, { status: /connecting|retrying/, reasonCode: 'DESTINATION_LOST' });
  await rm(frailFile, { force: true });
  letGo();
  t.match(await gateway.reached(mediaSessionId, 'pushing'), { reason: '' });
  await beginsAnew(t);
});

await t.test(
  'a server that closes the connection without an error: the push ends after its last attempt',
  async (t) => {
    refused = 0;
    refuse = true;
    const { mediaSessionId } = await gateway.startPush({ streamName: 'show', rtmpUrl: frail.rtmpUrl });
    const ended = await gateway.ended(mediaSessionId, 30_000);
    refuse = false;
    t.match(ended, { status: 'ended', attempt: ATTEMPTS, reasonCode: /^DESTINATION_/ });
    t.equal(refused, ATTEMPTS + 1, 'the first connection and each attempt');
  },
);

await t.test(
  'a server that accepts and drops connections: attempts have an interval, and the push ends after the last one',
  async (t) => {
    const proxy = await startTcpProxy(frail.port, 40_000);
    t.teardown(() => proxy.close());
    const asked = performance.now();
    const { mediaSessionId } = await gateway.startPush({
      streamName: 'show',
      rtmpUrl: `rtmp://127.0.0.1:${proxy.port}/live/drop`,
      rtmpTransponderFullUrl: true,
    });
    const ended = await gateway.ended(mediaSessionId, 60_000);
    const seconds = (performance.now() - asked) / 1000;
    t.match(ended, { status: 'ended', reasonCode: /^DESTINATION_/ }, ended.reason);
    t.equal(proxy.accepted, ATTEMPTS + 1, 'the first connection and each attempt');
    t.ok(seconds >= (ATTEMPTS * 500) / 1000, `${seconds.toFixed(1)} s with an interval between attempts`);
  },
);

await t.test('a server that does not exist: the push retries and can be terminated', async (t) => {
  const proxy = await startTcpProxy(frail.port);
  const { port } = proxy;
  await proxy.close();
  const { mediaSessionId } = await gateway.startPush({ streamName: 'show', rtmpUrl: `rtmp://127.0.0.1:${port}/live` });
  t.match(await gateway.reached(mediaSessionId, 'retrying'), { reasonCode: 'DESTINATION_UNREACHABLE' });
  await gateway.rest('/push/terminate', { mediaSessionId });
  t.equal(await gateway.transponder(mediaSessionId), undefined, 'terminated while it waits for its next attempt');
});

await t.test('many pushes start and end, some before they are connected', async (t) => {
  const names = Array.from({ length: 20 }, (_, i) => `passing-${i}`);
  const started = await Promise.all(
    names.map((name) =>
      gateway.startPush({ streamName: 'show', rtmpUrl: `${frail.rtmpUrl}/${name}`, rtmpTransponderFullUrl: true }),
    ),
  );
  await Promise.all(
    started.map(async ({ mediaSessionId }, i) => {
      if (i % 2 === 0) await gateway.reached(mediaSessionId, 'pushing');
      t.equal((await gateway.rest('/push/terminate', { mediaSessionId })).status, 200);
    }),
  );
  t.equal((await gateway.rest('/push/find', {})).body.length, 1, 'only the other push is left');
});

await t.test('the other destination is unaffected, and no resources are leaked', async (t) => {
  t.match(await gateway.transponder(neighbour.mediaSessionId), { status: 'pushing', attempt: 0, framesDropped: 0 });
  const until = (await recordedUntil(recordingOf(steady, 'rtmp_show'))).audio;
  await recorded(recordingOf(steady, 'rtmp_show'), until + 500);
  const recording = await analyse(recordingOf(steady, 'rtmp_show'));
  t.strictSame(recording.decodeErrors, []);
  t.ok(recording.audio.largestGap <= 50, `no gap in the audio: ${recording.audio.largestGap} ms`);
  t.ok(recording.video.largestGap <= 500, `no gap in the video: ${recording.video.largestGap} ms`);
  t.ok(gateway.children('pusher').length <= 1, 'at most one pusher process is left');
  await waitFor('file descriptors to be closed', () => openFiles(gateway.pid) <= files + 2);
  await page.close();
});
