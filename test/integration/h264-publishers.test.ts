import { readFile } from 'node:fs/promises';
import t from 'tap';
import { readFlv } from '../helpers/flv-file.ts';
import { startGateway } from '../helpers/gateway.ts';
import { createMedia, MediaPublisher, type MediaPublisherOptions } from '../helpers/media-publisher.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

/** Publishers whose H.264 differs from that of browsers, through the whole gateway. */

const FPS = 30;
const [gateway, nginx, media, reordered] = await Promise.all([
  startGateway({ publisher_resume_window_ms: 0 }),
  startNginxRtmp(),
  createMedia('320x180', FPS, { seconds: 4, encoding: ['-x264-params', 'slices=4:keyint=15:scenecut=0'] }),
  createMedia('320x180', FPS, { encoding: ['-profile:v', 'main', '-bf', '3', '-x264-params', 'keyint=15:b-adapt=0'] }),
]);
t.teardown(async () => {
  await Promise.all([media.remove(), reordered.remove(), gateway.stop()]);
  await nginx.stop();
});

async function publish(stream: string, options: Partial<MediaPublisherOptions> = {}): Promise<MediaPublisher> {
  const { httpUrl } = gateway;
  const { video, audio } = media;
  const publisher = await MediaPublisher.start({ httpUrl, stream, fps: FPS, video, audio, ...options });
  const names = async (): Promise<string[]> =>
    (await gateway.http('/api/v1/streams')).body.map(({ name }: { name: string }) => name);
  await waitFor('the stream', async () => (await names()).includes(stream), { every: 20 });
  return publisher;
}

t.test('four slices with a marker each, and parameter sets that were sent long before the push', async (t) => {
  const publisher = await publish('once', { setsOnce: true, marksAll: true });
  await waitFor('the publisher to be known', () => gateway.logs().includes('does not repeat its parameter sets'));
  const { mediaSessionId } = await gateway.startPush({ streamName: 'once', rtmpUrl: nginx.rtmpUrl });
  await gateway.reached(mediaSessionId, 'pushing');
  const file = recordingOf(nginx, 'rtmp_once');
  await waitFor('video', async () => (await recordedUntil(file)).video > 2000);
  const { width, height } = (await gateway.transponder(mediaSessionId))!;
  t.same([width, height], [320, 180]);
  await gateway.rest('/push/terminate', { mediaSessionId });
  await publisher.kill();
  const { video, frames, decodeErrors } = await analyse(file);
  t.strictSame(decodeErrors, []);
  t.ok(video.largestGap < 100, `largest gap ${video.largestGap} ms`);
  t.ok(frames.length > 50 && frames.every(({ width }) => width === 320));
});

for (const mid of [true, false])
  t.test(`another SSRC in the middle, ${mid ? 'with' : 'without'} MID: the stream is live again`, async (t) => {
    const name = mid ? 'named' : 'typed';
    const publisher = await publish(name, { mid });
    const { mediaSessionId } = await gateway.startPush({ streamName: name, rtmpUrl: nginx.rtmpUrl });
    await gateway.reached(mediaSessionId, 'pushing');
    const file = recordingOf(nginx, `rtmp_${name}`);
    await waitFor('video', async () => (await recordedUntil(file)).video > 1000);
    for (const after of [3000, 6000]) {
      publisher.changesSource();
      const before = await recordedUntil(file);
      await waitFor('more video', async () => (await recordedUntil(file)).video > before.video + after);
    }
    await gateway.rest('/push/terminate', { mediaSessionId });
    await publisher.kill();
    const { video, audio, decodeErrors } = await analyse(file);
    t.strictSame(decodeErrors, []);
    t.ok(video.largestGap < 2500, `video stood still for ${video.largestGap} ms`);
    t.ok(audio.last - audio.first > 5000);
  });

for (const kinds of [['video'], ['audio'], ['audio', 'video']] as const)
  t.test(`another SSRC of ${kinds.join(' and ')} in a stream with B-frames: it is live again`, async (t) => {
    const name = `reordered_${kinds.join('_')}`;
    const publisher = await publish(name, { mid: true, video: reordered.video });
    const { mediaSessionId } = await gateway.startPush({ streamName: name, rtmpUrl: nginx.rtmpUrl });
    await gateway.reached(mediaSessionId, 'pushing');
    const file = recordingOf(nginx, `rtmp_${name}`);
    await waitFor('video', async () => (await recordedUntil(file)).video > 2000);
    publisher.changesSource(kinds);
    const before = await recordedUntil(file);
    await waitFor('more video', async () => (await recordedUntil(file)).video > before.video + 4000);
    // The tone is back, too.
    await waitFor('the tone', async () => Math.max(...(await analyse(file)).levels().slice(-10)) > -30, { every: 500 });
    await gateway.rest('/push/terminate', { mediaSessionId });
    await publisher.kill();
    const { video, decodeErrors, frames } = await analyse(file);
    t.strictSame(decodeErrors, []);
    t.ok(video.largestGap < (kinds[0] === 'video' || kinds.length > 1 ? 2500 : 100), `gap of ${video.largestGap} ms`);
    t.ok(frames.length > 100);
    const offsets = readFlv(await readFile(file))
      .tags.filter(({ kind, body }) => kind === 'video' && body[1] === 1)
      .map(({ body }) => body.readIntBE(2, 3));
    t.ok(
      offsets.every((ms) => ms >= 0 && ms < 200),
      'frames are shown after they are decoded',
    );
    t.ok(offsets.filter((ms) => ms > 100).length > offsets.length / 8, 'every fourth one four frames later');
  });

t.test('an offer without SSRC and MID: payload types tell audio and video', async (t) => {
  const [publisher, other] = await Promise.all([
    publish('unnamed', { unnamed: true }),
    publish('neighbour', { unnamed: true }),
  ]);
  for (const streamName of ['unnamed', 'neighbour']) {
    const { mediaSessionId } = await gateway.startPush({ streamName, rtmpUrl: nginx.rtmpUrl });
    await gateway.reached(mediaSessionId, 'pushing');
    const file = recordingOf(nginx, `rtmp_${streamName}`);
    await waitFor('video', async () => (await recordedUntil(file)).video > 2000);
    // The audio of the neighbour, which has the same payload type, may be tried first.
    await waitFor('the tone', async () => Math.max(...(await analyse(file)).levels()) > -30, { every: 500 });
    await gateway.rest('/push/terminate', { mediaSessionId });
    const { frames, decodeErrors } = await analyse(file);
    t.strictSame(decodeErrors, []);
    t.ok(frames.length > 30);
  }
  t.notMatch(gateway.logs(), /no suitable Producer/, 'lines that only served to find the sources');
  await Promise.all([publisher.kill(), other.kill()]);
});

t.test('video packets of another payload type than agreed are named', async (t) => {
  const sinceMs = performance.now();
  const publisher = await publish('strange', { videoType: 97 });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'strange', rtmpUrl: nginx.rtmpUrl });
  const problem = await waitFor('the problem', async () => {
    const streams = (await gateway.http('/api/v1/streams')).body as { name: string; videoProblem?: string }[];
    return streams.find(({ name }) => name === 'strange')?.videoProblem;
  });
  t.match(problem, /payload types are .*97, agreed were audio 111, video 96/);
  t.comment(`after ${Math.round(performance.now() - sinceMs)} ms with the start of the publisher`);
  t.match((await gateway.transponder(mediaSessionId))?.reason, /97/);
  t.notMatch(gateway.logs(), /sent no key frame/);
  await publisher.kill();
});
