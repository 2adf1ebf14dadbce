import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { noFfmpeg8, startFfmpeg8Server } from '../helpers/ffmpeg8.ts';
import { startGateway } from '../helpers/gateway.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';
import { startWhipPageServer, WhipPage } from '../helpers/whip-page.ts';

/** FFmpeg 8 is a server that announces nothing: what the push asks for is sent, and decodes there. */

const FRAMES = 100;

if (noFfmpeg8) {
  t.pass(noFfmpeg8, { skip: true });
} else {
  t.setTimeout(FILE_TIMEOUT);
  const pages = await startWhipPageServer();
  const [browser, gateway] = await Promise.all([
    startChromium(),
    startGateway({ cors_origins: new URL(pages.url).origin, rtmp_transponder_full_url: true }),
  ]);
  t.teardown(async () => {
    await browser.close();
    await pages.close();
    await gateway.stop();
  });

  for (const [published, fields, expected] of [
    ['vp9', { videoCodec: 'source', audioCodec: 'source' }, { video: ['vp9', 'vp09'], audio: ['opus', 'Opus'] }],
    ['av1', { videoCodec: 'source', audioCodec: 'source' }, { video: ['libdav1d', 'av01'], audio: ['opus', 'Opus'] }],
    ['av1', { audioCodec: 'source' }, { video: ['h264', 'avc1'], audio: ['opus', 'Opus'] }],
    ['vp9', {}, { video: ['h264', 'avc1'], audio: ['aac', 'mp4a'] }],
  ] as const)
    await t.test(`${published}, ${JSON.stringify(fields)}`, async (t) => {
      const server = await startFfmpeg8Server();
      t.teardown(() => server.stop());
      const page = await WhipPage.open(browser, pages);
      const options = { codec: published, source: 'tone', sourceOptions: { width: 320, height: 180 } } as const;
      t.match(await page.publish(`${gateway.httpUrl}/live/whip/endpoint/show`, options), { status: 201 });
      await waitFor('the stream', async () => {
        const { status, body } = await gateway.rest('/stream/find', { name: 'show' });
        return status === 200 && body[0].status === 'PUBLISHING';
      });
      const request = { streamName: 'show', rtmpUrl: `${server.rtmpUrl}/stream`, ...fields };
      const { mediaSessionId } = await gateway.startPush(request);
      const [video, audio] = [expected.video, expected.audio];
      await waitFor('the codecs that go out', async () => {
        const view = await gateway.transponder(mediaSessionId);
        return view?.status === 'pushing' && view.codecs?.video === video[1] && view.codecs.audio === audio[1];
      });
      await waitFor('frames', () => server.videoPackets() > FRAMES);
      t.equal((await gateway.transponder(mediaSessionId))?.attempt, 0, 'the server takes it at once');
      await gateway.rest('/push/terminate', { mediaSessionId });
      const decoded = await server.decoded();
      t.equal(decoded.length, 2, JSON.stringify(decoded));
      const of = (codec: string) => decoded.find((line) => line.codec === codec);
      t.match(of(video[0]), { width: 320, height: 180, errors: 0 });
      t.match(of(audio[0]), { sampleRate: 48_000, errors: 0 });
      for (const [codec] of [video, audio])
        t.equal(of(codec)!.frames, of(codec)!.packets, `each packet of ${codec} decodes`);
      t.ok(of(audio[0])!.samples > 48_000, `${of(audio[0])!.samples} samples`);
      await page.request('DELETE');
      await page.close();
    });
}
