import t from 'tap';
import { analyse, median, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { startWhipPageServer, WhipPage } from '../helpers/whip-page.ts';

t.setTimeout(FILE_TIMEOUT);

const { gateway, browser, nginx } = await setStage(t, { settings: { cors_origins: '*' } });
const pages = await startWhipPageServer();
t.teardown(() => pages.close());

for (const [what, codec, layers] of [
  ['first', 'h264', [{ rid: 'h' }, { rid: 'l', scaleResolutionDownBy: 2 }]],
  ['last', 'vp8', [{ rid: 'q', scaleResolutionDownBy: 2 }, { rid: 'f' }]],
] as const) {
  await t.test(
    `simulcast, ${codec}, the largest layer ${what}: it is used, and audio and video stay in sync`,
    async (t) => {
      const page = await WhipPage.open(browser, pages);
      const url = `${gateway.httpUrl}/whip/layers-${what}?rtmpUrl=${encodeURIComponent(nginx.rtmpUrl)}`;
      const answer = await page.publish(url, {
        codec,
        layers,
        source: 'flashAndBeep',
        sourceOptions: { width: 640, height: 360 },
      });
      t.match(answer, {
        status: 201,
        text: new RegExp(
          `a=rid:${layers[0].rid} recv\r\na=rid:${layers[1].rid} recv\r\na=simulcast:recv ${layers[0].rid};${layers[1].rid}\r\n`,
        ),
      });
      const file = recordingOf(nginx, `rtmp_layers-${what}`);
      const largest = layers.find((layer) => !('scaleResolutionDownBy' in layer))!.rid;
      const soFar = async (): Promise<{ encoded: number; untilMs: number }> => {
        const { streams } = await page.flow('outbound-rtp');
        const { framesEncoded = 0 } = streams.find(({ rid }) => rid === largest)!;
        return { encoded: framesEncoded, untilMs: (await recordedUntil(file)).video };
      };
      await recorded(file, 2500);
      const from = await soFar();
      await recorded(file, from.untilMs + 4000);
      const to = await soFar();
      await page.request('DELETE');
      const recording = await analyse(file);
      const { frames, video, audio } = recording;
      t.strictSame(recording.decodeErrors, []);
      t.strictSame([...video.stepsBack, ...audio.stepsBack], [], 'timestamps never step back');
      t.equal(frames.at(-1)?.height, 360);
      const small = frames.filter(({ height }) => height < 360);
      const smallUntil = small.at(-1)?.time ?? 0;
      t.ok(smallUntil < video.last - 2000, `small frames until ${smallUntil} of ${video.last} ms`);
      const arrived = frames.filter(({ time }) => time > from.untilMs && time <= to.untilMs).length;
      const encoded = to.encoded - from.encoded;
      t.ok(arrived > (encoded * 2) / 3, `${arrived} of ${encoded} frames: all temporal layers`);
      const offsets = recording.lipSync();
      t.ok(
        offsets.length >= 3 && Math.abs(median(offsets)) < 60,
        `beeps after flashes by ${offsets.map((offset) => offset.toFixed(0)).join()} ms`,
      );
      await page.close();
    },
  );
}
