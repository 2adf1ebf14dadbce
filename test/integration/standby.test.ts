import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { readFlv } from '../helpers/flv-file.ts';
import { startGateway } from '../helpers/gateway.ts';
import { createMedia, MediaPublisher } from '../helpers/media-publisher.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, recorded, recordedUntil, recordingOf, type Frame, type Recording } from '../helpers/recording.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const FPS = 30;
const publishes: string[] = [];
const [gateway, nginx, landscape, portrait] = await Promise.all([
  // The publisher's loss is noticed by its silence; the stream is not held.
  startGateway({ publisher_resume_window_ms: 0, standby_color: '#204060' }),
  startNginxRtmp({
    onPublish: (parameters) => {
      publishes.push(parameters.get('name') ?? '');
      return 200;
    },
  }),
  createMedia('640x360', FPS),
  createMedia('360x640', FPS),
]);
t.teardown(async () => {
  await Promise.all([landscape.remove(), portrait.remove(), gateway.stop()]);
  await nginx.stop();
});

async function publish(stream: string, { video, audio } = landscape, token?: string): Promise<MediaPublisher> {
  const options = { httpUrl: gateway.httpUrl, stream, fps: FPS, video, audio, ...(token !== undefined && { token }) };
  const publisher = await MediaPublisher.start(options);
  const names = async (): Promise<string[]> =>
    (await gateway.http('/api/v1/streams')).body.map(({ name }: { name: string }) => name);
  await waitFor('the stream', async () => (await names()).includes(stream), { every: 20 });
  return publisher;
}

const kindOf = (frames: readonly Frame[]): string => {
  const values = frames.map(({ brightness }) => brightness);
  if (values.length === 0) return 'none';
  if (Math.max(...values) < 120) return 'standby';
  if (Math.min(...values) < 120) return 'mixed';
  return Math.max(...values) - Math.min(...values) < 3 ? 'freeze' : 'live';
};

/** What is shown in each whole half second from the first frame on, without repetitions. */
function shown({ frames }: Recording): string[] {
  const kinds: string[] = [];
  for (let from = frames[0]!.time; from + 500 <= frames.at(-1)!.time; from += 500)
    kinds.push(kindOf(frames.filter(({ time }) => time >= from && time < from + 500)));
  return kinds.filter((kind, index) => kind !== 'mixed' && kind !== kinds[index - 1]);
}

/** What was shown, in this order. Between two of them there may be a picture, while a publisher or an encoder gets no processor. */
function shows(t: Test, recording: Recording, ...wanted: readonly string[]): void {
  const kinds = shown(recording);
  let found = 0;
  for (const kind of kinds) if (kind === wanted[found]) found++;
  t.ok(found === wanted.length && !kinds.includes('none'), `${wanted.join()}: ${kinds.join()}`);
}

/** What holds for every recording, whatever was done. */
async function check(t: Test, stream: string, { maxGapMs = 2 * Math.ceil(1000 / FPS) + 8 } = {}): Promise<Recording> {
  const recording = await analyse(recordingOf(nginx, `rtmp_${stream}`));
  t.strictSame(recording.decodeErrors, []);
  t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], [], 'timestamps never decrease');
  const { video, audio } = recording;
  t.ok(video.largestGap <= maxGapMs, `no gap in the video: ${video.largestGap} ms at ${video.largestGapAt}`);
  t.ok(audio.largestGap <= 45, `no gap in the audio: ${audio.largestGap} ms at ${audio.largestGapAt}`);
  t.equal(publishes.filter((name) => name === `rtmp_${stream}`).length, 1, 'one RTMP session');
  return recording;
}

const videoUntil = async (file: string): Promise<number> => (await recordedUntil(file)).video;

await t.test('live, freeze, standby, live: the publisher is killed, and another one returns', async (t) => {
  let publisher = await publish('killed');
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'killed',
    rtmpUrl: nginx.rtmpUrl,
    standby: { freezeMs: 3000, text: 'Back soon' },
  });
  const file = recordingOf(nginx, 'rtmp_killed');
  await recorded(file, 4000);
  await publisher.kill();
  t.match(await gateway.reached(mediaSessionId, 'standby'), { standby: { picture: 'freeze' } });
  await waitFor('the picture', async () => (await gateway.transponder(mediaSessionId))!.standby?.picture === 'color');
  await recorded(file, (await videoUntil(file)) + 2500);
  await waitFor('the loss to be noticed', async () => (await gateway.http('/api/v1/streams')).body.length === 0, {
    timeout: 60_000,
  });
  t.match(await gateway.transponder(mediaSessionId), {
    status: 'standby',
    standby: { reason: 'publisher' },
    publisherAway: { until: String },
  });
  publisher = await publish('killed', portrait);
  const live = await gateway.reached(mediaSessionId, 'pushing');
  t.strictSame([live.width, live.height, live.attempt], [360, 640, 0]);
  await recorded(file, (await videoUntil(file)) + 2500);
  await gateway.rest('/push/terminate', { mediaSessionId });
  await publisher.kill();

  const recording = await check(t, 'killed');
  shows(t, recording, 'live', 'freeze', 'standby', 'live');
  const sizes = recording.frames.map(({ width, height }) => `${width}x${height}`);
  t.strictSame([...new Set(sizes)], ['640x360', '360x640'], 'the picture has the size of the live video');
  const levels = recording.levels();
  t.ok(levels[1]! > -30 && levels.at(-2)! > -30, `audio before and after: ${levels.map(Math.round).join()}`);
  t.ok(Math.min(...levels) < -80, 'silence meanwhile');
  const metrics = (await gateway.http('/metrics')).text;
  t.match(metrics, /gateway_standby_total\{reason="(video|publisher)"\} 1/);
  t.ok(Number(/gateway_standby_seconds_total ([\d.]+)/.exec(metrics)![1]) > 2);
});

// Side by side: they mostly wait for media in real time.
t.jobs = 3;

t.test('a portrait stream whose camera stops while the microphone goes on', async (t) => {
  const publisher = await publish('camera', portrait);
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'camera',
    rtmpUrl: nginx.rtmpUrl,
    standby: { freezeMs: 0 },
  });
  const file = recordingOf(nginx, 'rtmp_camera');
  await recorded(file, 4000);
  publisher.sends({ video: false });
  t.match(await gateway.reached(mediaSessionId, 'standby'), { standby: { reason: 'video', picture: 'color' } });
  await recorded(file, (await videoUntil(file)) + 3000);
  publisher.sends({ video: true });
  await gateway.reached(mediaSessionId, 'pushing');
  await recorded(file, (await videoUntil(file)) + 2000);
  await gateway.rest('/push/terminate', { mediaSessionId });
  await publisher.kill();

  const recording = await check(t, 'camera');
  shows(t, recording, 'live', 'standby', 'live');
  t.ok(recording.frames.every(({ width, height }) => width === 360 && height === 640));
  const levels = recording.levels().slice(1, -1);
  t.ok(Math.min(...levels) > -30, `the tone never stops: ${levels.map(Math.round).join()}`);
});

t.test('a phone call: media and RTCP stop for longer than consent lasts, and come back', async (t) => {
  const publisher = await publish('call');
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'call',
    rtmpUrl: nginx.rtmpUrl,
    standby: { freezeMs: 0 },
  });
  const file = recordingOf(nginx, 'rtmp_call');
  await recorded(file, 2000);
  publisher.sends({ video: false, audio: false });
  await gateway.reached(mediaSessionId, 'standby');
  await sleep(35_000);
  t.match(await gateway.transponder(mediaSessionId), { status: 'standby', standby: { reason: 'video' } });
  publisher.sends({ video: true, audio: true });
  const backAt = performance.now();
  await gateway.reached(mediaSessionId, 'pushing');
  t.comment(`media is back after ${Math.round(performance.now() - backAt)} ms`);
  await recorded(file, (await videoUntil(file)) + 2000);
  await gateway.rest('/push/terminate', { mediaSessionId });
  await publisher.kill();
  shows(t, await check(t, 'call'), 'live', 'standby', 'live');
});

t.test('a client takes over from its own session that was killed, and not from one that sends', async (t) => {
  const killed = await publish('again', landscape, 'alice');
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'again',
    rtmpUrl: nginx.rtmpUrl,
    standby: { freezeMs: 0 },
  });
  const file = recordingOf(nginx, 'rtmp_again');
  await recorded(file, 2000);
  await t.rejects(publish('again', landscape, 'alice'), /409.*same credentials is sending media/);
  await killed.kill();
  await t.rejects(publish('again', landscape, 'mallory'), /409/);
  const publisher = await publish('again', landscape, 'alice');
  await gateway.reached(mediaSessionId, 'pushing');
  await recorded(file, (await videoUntil(file)) + 2000);
  await gateway.rest('/push/terminate', { mediaSessionId });
  await publisher.kill();
  t.equal(shown(await check(t, 'again')).at(-1), 'live');
});

t.test('starts before anybody publishes, and is switched by hand', async (t) => {
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'early',
    rtmpUrl: nginx.rtmpUrl,
    standby: { freezeMs: 0, startWithStandby: true },
  });
  const file = recordingOf(nginx, 'rtmp_early');
  await gateway.reached(mediaSessionId, 'standby');
  await recorded(file, 2000);
  const publisher = await publish('early');
  await gateway.reached(mediaSessionId, 'pushing');
  await recorded(file, (await videoUntil(file)) + 3000);
  const hand = (on: boolean, more = {}): Promise<unknown> =>
    gateway.rest('/push/standby', { mediaSessionId, on, ...more });
  await hand(true, { color: '#000000' });
  t.match(await gateway.reached(mediaSessionId, 'standby'), { standby: { reason: 'manual' } });
  await recorded(file, (await videoUntil(file)) + 2500);
  await hand(false);
  await gateway.reached(mediaSessionId, 'pushing');
  await recorded(file, (await videoUntil(file)) + 2000);
  t.match(await gateway.rest('/push/standby', { mediaSessionId, source: 'image', file: '../x.png' }), { status: 404 });
  await gateway.rest('/push/terminate', { mediaSessionId });
  await publisher.kill();

  const recording = await check(t, 'early');
  shows(t, recording, 'standby', 'live', 'standby', 'live');
  t.ok(
    recording.frames.some(({ brightness }) => brightness < 30),
    'the colour has changed on air',
  );
});

t.test('a push with an encoder goes to standby without a sequence header', async (t) => {
  const publisher = await publish('encoded');
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'encoded',
    rtmpUrl: nginx.rtmpUrl,
    height: 240,
    fps: 25,
    keyFrameInterval: 50,
    standby: { freezeMs: 500 },
  });
  const file = recordingOf(nginx, 'rtmp_encoded');
  await recorded(file, 5000);
  await gateway.rest('/push/standby', { mediaSessionId, on: true });
  await recorded(file, (await videoUntil(file)) + 2000);
  await gateway.rest('/push/standby', { mediaSessionId, on: false });
  await gateway.reached(mediaSessionId, 'pushing');
  await recorded(file, (await videoUntil(file)) + 2000);
  await gateway.rest('/push/terminate', { mediaSessionId });
  await publisher.kill();

  const recording = await check(t, 'encoded', { maxGapMs: 90 });
  shows(t, recording, 'live', 'standby', 'live');
  const headers = readFlv(await readFile(file)).tags.filter((tag) => tag.kind === 'video' && tag.sequenceHeader);
  t.equal(headers.length, 1);
});
