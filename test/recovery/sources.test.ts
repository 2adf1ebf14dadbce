import t, { type Test } from 'tap';
import { analyse, MOST_SOUND_LAG, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { startUdpRelay } from '../helpers/udp-relay.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

let publishes: string[] = [];
const { gateway, nginx, openPage, publisher } = await setStage(t, {
  settings: { publisher_resume_window_ms: 30_000 },
  nginx: {
    onPublish: (parameters) => {
      publishes.push(parameters.get('name') ?? '');
      return 200;
    },
  },
});
const source = { source: 'tone', sourceOptions: { width: 320, height: 180 } } as const;

/** The publisher leaves and returns; the connection to the RTMP server stays the same. */
async function continues(
  t: Test,
  name: string,
  leave: () => Promise<void>,
  comeBack: () => Promise<void>,
): Promise<void> {
  publishes = [];
  const { mediaSessionId } = await gateway.startPush({ streamName: name, rtmpUrl: nginx.rtmpUrl });
  const file = recordingOf(nginx, `rtmp_${name}`);
  await recorded(file, 1500);
  await leave();
  const left = (await recordedUntil(file)).audio;
  await waitFor('silence to be sent', async () => (await recordedUntil(file)).audio > left + 3500);
  await comeBack();
  const back = (await recordedUntil(file)).audio;
  await waitFor('frames of the new publisher', async () => (await recordedUntil(file)).video > back + 1500);
  t.match(await gateway.transponder(mediaSessionId), { status: 'pushing', attempt: 0 }, 'the same push');
  await gateway.rest('/push/terminate', { mediaSessionId });
  t.strictSame(publishes, [`rtmp_${name}`], 'published once');

  const recording = await analyse(file);
  t.strictSame(recording.decodeErrors, []);
  t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], [], 'timestamps never decrease');
  t.ok(
    recording.audio.largestGap <= 50,
    `no gap in the audio: ${recording.audio.largestGap} ms at ${recording.audio.largestGapAt}`,
  );
  t.ok(recording.level(500, 1400) > -15, 'audio before');
  // What was on its way when the publisher left is recorded later.
  const level = recording.level(left + 2000, left + 3000);
  t.ok(level < -80, `silence meanwhile: ${level.toFixed(1)} dBFS`);
  t.ok(recording.level(recording.audio.last - 700, recording.audio.last) > -15, 'audio after');
  t.ok(
    Math.abs(recording.audio.last - recording.video.last) <= MOST_SOUND_LAG,
    `tracks end together: ${recording.audio.last} and ${recording.video.last}`,
  );
}

await t.test('the push continues if a lost publisher returns within the window', async (t) => {
  let page = await publisher({ name: 'lost', ...source });
  await continues(
    t,
    'lost',
    () => page.close(),
    async () => {
      page = await publisher({ name: 'lost', ...source });
    },
  );
  await page.close();
});

await t.test('a killed encoder is restarted without a new connection to the RTMP server', async (t) => {
  const page = await publisher({ name: 'killed', ...source });
  publishes = [];
  const { mediaSessionId } = await gateway.startPush({ streamName: 'killed', rtmpUrl: nginx.rtmpUrl });
  const transcoded = await gateway.startPush({
    streamName: 'killed',
    rtmpUrl: `${nginx.rtmpUrl}/small`,
    rtmpTransponderFullUrl: true,
    height: 120,
  });
  const names = ['rtmp_killed', 'small'];
  await Promise.all(names.map((name) => recorded(recordingOf(nginx, name), 1500)));
  // The first audio encoder may be a shared one; the second is an ffmpeg.
  for (const role of ['audio-encoder', 'audio-encoder', 'video-encoder'] as const) {
    const [encoder] = gateway.children(role);
    t.ok(encoder, `there is an ${role}`);
    process.kill(encoder!.pid, 'SIGKILL');
    await waitFor(`another ${role}`, () => gateway.children(role).some(({ pid }) => pid !== encoder!.pid));
    const until = await Promise.all(names.map(async (name) => (await recordedUntil(recordingOf(nginx, name))).audio));
    await Promise.all(names.map((name, i) => recorded(recordingOf(nginx, name), until[i]! + 2000)));
  }
  for (const id of [mediaSessionId, transcoded.mediaSessionId]) {
    t.match(await gateway.transponder(id), { status: 'pushing', attempt: 0 });
    await gateway.rest('/push/terminate', { mediaSessionId: id });
  }
  t.strictSame(publishes.sort(), [...names].sort(), 'published once each');
  for (const name of names) {
    const recording = await analyse(recordingOf(nginx, name));
    t.strictSame(recording.decodeErrors, [], name);
    t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], [], 'timestamps never decrease');
    t.ok(
      recording.audio.largestGap <= 50,
      `no gap in the audio: ${recording.audio.largestGap} ms at ${recording.audio.largestGapAt}`,
    );
    t.ok(recording.level(recording.audio.last - 1000, recording.audio.last) > -15, 'audio again');
  }
  await page.close();
});

await t.test('a push whose encoder keeps dying ends with a reason', async (t) => {
  const page = await publisher({ name: 'hopeless', ...source });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'hopeless', rtmpUrl: nginx.rtmpUrl, height: 120 });
  await gateway.reached(mediaSessionId, 'pushing');
  // Kills every new encoder until the push ends.
  await waitFor(
    'the end of the push',
    async () => {
      for (const { pid } of gateway.children('video-encoder')) process.kill(pid, 'SIGKILL');
      return (await gateway.transponder(mediaSessionId)) === undefined;
    },
    { timeout: 60_000 },
  );
  t.match(await gateway.ended(mediaSessionId), { status: 'ended', reasonCode: 'ENCODER_FAILED' });
  const plain = await gateway.startPush({ streamName: 'hopeless', rtmpUrl: nginx.rtmpUrl });
  await gateway.reached(plain.mediaSessionId, 'pushing');
  t.pass('the stream itself continues');
  await page.stop('hopeless');
  await page.close();
});

await t.test('silence while the media path is cut and the WebSocket stays open, then audio again', async (t) => {
  const relay = await startUdpRelay(gateway.ports.rtc);
  t.teardown(() => relay.close());
  const page = await openPage();
  await page.sendThrough(relay.port);
  await page.publishTo(gateway.wsUrl, { name: 'cut', ...source });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'cut', rtmpUrl: nginx.rtmpUrl });
  const file = recordingOf(nginx, 'rtmp_cut');
  await recorded(file, 1000);
  relay.blackhole(true);
  const at = (await recordedUntil(file)).audio;
  await waitFor('silence to be sent', async () => (await recordedUntil(file)).audio > at + 2000);
  relay.blackhole(false);
  const back = (await recordedUntil(file)).audio;
  await waitFor('audio after the cut', async () => {
    const recording = await analyse(file);
    return (
      recording.audio.last > back + 1000 && recording.level(recording.audio.last - 500, recording.audio.last) > -15
    );
  });
  const recording = await analyse(file);
  t.strictSame(recording.decodeErrors, []);
  t.ok(
    recording.audio.largestGap <= 50,
    `no gap in the audio: ${recording.audio.largestGap} ms at ${recording.audio.largestGapAt}`,
  );
  t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], []);
  await gateway.rest('/push/terminate', { mediaSessionId });
  await page.close();
});

await t.test('streams of a killed media worker end with a reason, and a new worker is started', async (t) => {
  const page = await publisher({ name: 'orphan', ...source });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'orphan', rtmpUrl: nginx.rtmpUrl });
  await gateway.reached(mediaSessionId, 'pushing');
  const [worker] = gateway.children('media-worker');
  process.kill(worker!.pid, 'SIGKILL');
  t.match(await gateway.ended(mediaSessionId), { status: 'ended', reasonCode: 'WORKER_DIED' });
  await page.event('FAILED in the page', ({ what, status }) => what === 'stream' && status === 'FAILED');
  await waitFor('a new worker', () => gateway.children('media-worker').some(({ pid }) => pid !== worker!.pid));
  await page.close();

  const again = await publisher({ name: 'orphan', ...source, rtmpUrl: `${nginx.rtmpUrl}` });
  await again.event(
    'a push through the new worker',
    ({ event }) => event?.type === 'transponder' && event.payload.status === 'pushing',
  );
  await again.stop('orphan');
  await waitFor('no encoder', () => gateway.children().every(({ role }) => role === 'media-worker'));
  await again.close();
});
