import t from 'tap';
import { startGateway } from '../helpers/gateway.ts';
import { createMedia, MediaPublisher, type MediaPublisherOptions } from '../helpers/media-publisher.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

/** Publishers whose H.264 differs from that of browsers, through the whole gateway. */

const FPS = 30;
const [gateway, nginx, media] = await Promise.all([
  startGateway({ publisher_resume_window_ms: 0 }),
  startNginxRtmp(),
  createMedia('320x180', FPS, { seconds: 4, encoding: ['-x264-params', 'slices=4:keyint=15:scenecut=0'] }),
]);
t.teardown(async () => {
  await Promise.all([media.remove(), gateway.stop()]);
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

t.test('another SSRC in the middle: with MID, the stream is live again', async (t) => {
  const publisher = await publish('moves', { mid: true });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'moves', rtmpUrl: nginx.rtmpUrl });
  await gateway.reached(mediaSessionId, 'pushing');
  const file = recordingOf(nginx, 'rtmp_moves');
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

t.test('another SSRC in the middle: without MID, the session ends with a reason', async (t) => {
  const publisher = await publish('ends');
  const { mediaSessionId } = await gateway.startPush({ streamName: 'ends', rtmpUrl: nginx.rtmpUrl });
  await gateway.reached(mediaSessionId, 'pushing');
  const file = recordingOf(nginx, 'rtmp_ends');
  await waitFor('video', async () => (await recordedUntil(file)).video > 1000);
  const changedAt = performance.now();
  publisher.changesSource();
  await gateway.ended(mediaSessionId);
  t.ok(performance.now() - changedAt < 4000, `after ${Math.round(performance.now() - changedAt)} ms`);
  t.match(gateway.logs(), /packets have an SSRC now that the offer does not name/);
  await publisher.kill();
});
