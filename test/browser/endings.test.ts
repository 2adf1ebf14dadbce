import t from 'tap';
import { analyse, findRecording, MOST_SOUND_LAG, recorded, recordingOf } from '../helpers/recording.ts';
import { startNodeMediaServer } from '../helpers/node-media-server.ts';
import { freePort } from '../helpers/server-process.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const { gateway, nginx, openPage, publisher } = await setStage(t, {
  settings: { publisher_resume_window_ms: 1000 },
  nginx: { onPublish: (parameters) => (parameters.get('name')?.includes('refused') ? 404 : 200) },
});

/** Waits until only mediasoup's worker runs. */
const idle = (): Promise<unknown> =>
  waitFor('encoders and pushers to end', () => {
    const left = gateway.children().filter(({ role }) => role !== 'media-worker');
    if (left.length > 0) throw new Error(left.map(({ role }) => role).join());
    return true;
  });

await t.test('the publisher closes the tab: after the window its pushes end, with the reason', async (t) => {
  const page = await publisher({ name: 'tab' });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'tab', rtmpUrl: nginx.rtmpUrl });
  await gateway.reached(mediaSessionId, 'pushing');
  const closed = performance.now();
  await page.close();
  t.match(await gateway.ended(mediaSessionId), { status: 'ended', reasonCode: 'PUBLISHER_LOST' });
  t.ok(performance.now() - closed >= 900, 'not before the window has passed');
  await idle();
  t.match(
    await gateway.rest('/push/startup', { streamName: 'tab', rtmpUrl: nginx.rtmpUrl }),
    { status: 404 },
    'the stream has ended',
  );
});

await t.test('the RTMP server refuses: the push ends with the reason, the publication continues', async (t) => {
  const page = await publisher({ name: 'refused', rtmpUrl: nginx.rtmpUrl });
  const ending = await page.event(
    'the end of the push',
    ({ event }) => event?.type === 'transponder' && event.payload.status === 'ended',
  );
  t.ok(ending.event.payload.reason, `with a reason: ${ending.event.payload.reason}`);
  t.equal((await page.events()).at(-1)?.what, 'event', 'the stream has no other event');
  t.match(await gateway.rest('/push/find', {}), { status: 404 });
  t.match(await page.stop('refused'), { status: 'UNPUBLISHED' });
  await page.close();
  await idle();
});

await t.test('no server listens there: the push ends with the reason', async (t) => {
  const page = await publisher({ name: 'alone' });
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'alone',
    rtmpUrl: `rtmp://127.0.0.1:${await freePort()}/live`,
  });
  const ended = await gateway.ended(mediaSessionId);
  t.match(ended, { status: 'ended', reasonCode: 'DESTINATION_UNREACHABLE' });
  t.ok(ended.reason, ended.reason);
  await page.disconnect();
  await page.close();
  await idle();
});

await t.test('a publisher with VP8 only is transcoded once for all destinations', async (t) => {
  const page = await publisher({ name: 'vp8', stripCodecs: 'H264', source: 'tone', rtmpUrl: nginx.rtmpUrl });
  const second = await gateway.startPush({
    streamName: 'vp8',
    rtmpUrl: `${nginx.rtmpUrl}/vp8-second`,
    rtmpTransponderFullUrl: true,
  });
  await Promise.all(['rtmp_vp8', 'vp8-second'].map((name) => recorded(recordingOf(nginx, name), 3000)));
  t.equal(gateway.children('video-encoder').length, 1, 'one video encoder');
  t.equal(gateway.children('audio-encoder').length, 1, 'one audio encoder');
  await page.stop('vp8');
  await gateway.ended(second.mediaSessionId);
  const recording = await analyse(recordingOf(nginx, 'rtmp_vp8'));
  t.strictSame(recording.decodeErrors, []);
  t.match(recording.frames.at(-1), { width: 640, height: 360 });
  t.strictSame(recording.video.stepsBack, []);
  t.ok(
    Math.abs(recording.audio.last - recording.video.last) <= MOST_SOUND_LAG,
    `tracks end together: ${recording.audio.last} and ${recording.video.last}`,
  );
  t.ok(Math.max(...recording.keyFrameIntervals) <= 4000);
  await page.close();
  await idle();
});

await t.test('without a microphone the RTMP server gets silence', async (t) => {
  const page = await publisher({ name: 'no-audio', source: 'videoOnly', rtmpUrl: nginx.rtmpUrl });
  await recorded(recordingOf(nginx, 'rtmp_no-audio'), 2000);
  await page.stop('no-audio');
  const recording = await analyse(recordingOf(nginx, 'rtmp_no-audio'));
  t.strictSame(recording.decodeErrors, []);
  t.ok(recording.audio.count > 50, `${recording.audio.count} frames of audio`);
  t.ok(recording.level(0, 2000) < -80, 'silent');
  t.ok(recording.audio.largestGap <= 50);
  t.ok(recording.frames.length > 20);
  await page.close();
  await idle();
});

await t.test('without a camera the RTMP server gets audio', async (t) => {
  // nginx-rtmp starts a recording with a video frame.
  const server = await startNodeMediaServer();
  t.teardown(() => server.stop());
  const page = await publisher({ name: 'no-frame', source: 'audioOnly', rtmpUrl: server.rtmpUrl });
  const file = await findRecording(server, 'no-frame');
  await waitFor('audio', async () => (await analyse(file)).audio.last > 2000);
  await page.stop('no-frame');
  const recording = await analyse(file);
  t.equal(recording.video.count, 0);
  t.strictSame(recording.decodeErrors, []);
  t.ok(recording.level(1000, 2000) > -15, `${recording.level(1000, 2000).toFixed(1)} dBFS`);
  await page.close();
  await idle();
});

await t.test('an offer without a codec in common fails with the reason', async (t) => {
  const page = await openPage();
  await page.connect(gateway.wsUrl);
  t.match(await page.publish({ name: 'exotic', stripCodecs: 'H264,VP8,VP9,AV1', source: 'videoOnly' }), {
    status: 'FAILED',
    info: 'No common codecs',
  });
  await page.close();
});

await t.test(
  'the gateway is stopped while a push runs: the page learns of it, the recording is complete, no process is left',
  async (t) => {
    const page = await publisher({ name: 'last', source: 'tone', rtmpUrl: nginx.rtmpUrl });
    await recorded(recordingOf(nginx, 'rtmp_last'), 1500);
    await gateway.stop();
    t.equal(await gateway.exited, 0, 'exit code');
    await page.event('the end of the session', ({ what, status }) => what === 'session' && status === 'DISCONNECTED');
    const recording = await analyse(recordingOf(nginx, 'rtmp_last'));
    t.strictSame(recording.decodeErrors, []);
    t.ok(recording.video.last >= 1500);
    await page.close();
  },
);
