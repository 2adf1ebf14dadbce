import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { framesOf, ivfOf, metadataOf, startEnhancedServer, tagsOf } from '../helpers/enhanced-server.ts';
import { ffmpeg } from '../helpers/ffmpeg-tool.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, recordingOf } from '../helpers/recording.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { startWhipPageServer, WhipPage } from '../helpers/whip-page.ts';
import { waitFor } from '../helpers/wait.ts';

/** Chromium sends spatial layers: what arrives anywhere is one stream, with the frames of the highest one. */

t.setTimeout(FILE_TIMEOUT);

const folder = await mkdtemp(join(tmpdir(), 'spatial-layers-'));
const [whipPages, sdkPages] = await Promise.all([startWhipPageServer(), startPageServer()]);
const [browser, gateway, nginx, taker] = await Promise.all([
  startChromium(),
  startGateway({
    ...{ cors_origins: new URL(whipPages.url).origin, rtmp_transponder_full_url: true },
    ...{ recording: true, record_dir: join(folder, 'files'), record_min_free_mb: 1 },
  }),
  startNginxRtmp(),
  startEnhancedServer({ videoFourCcInfoMap: { vp09: 4, av01: 4 }, audioFourCcInfoMap: { Opus: 4 } }),
]);
t.teardown(async () => {
  await browser.close();
  await Promise.all([whipPages.close(), sdkPages.close()]);
  await gateway.stop();
  await Promise.all([nginx.stop(), taker.stop()]);
  await rm(folder, { recursive: true });
});

const CODECS = {
  // The decoder of ffmpeg shows each frame that claims to be shown; that of libvpx only the highest layer.
  vp9: { ivf: 'VP90', others: 'H264,VP8,AV1', decoders: ['vp9', 'libvpx-vp9'] },
  av1: { ivf: 'AV01', others: 'H264,VP8,VP9', decoders: ['libdav1d', 'libaom-av1'] },
} as const;
/** Chromium sends three layers of this size, but not of smaller ones. */
const size = { width: 960, height: 540 };

/** Size in bytes and hash of each decoded frame. */
async function decode(args: readonly string[]): Promise<{ bytes: number; hash: string }[]> {
  const output = await ffmpeg([...args, '-an', '-fps_mode', 'passthrough', '-autoscale', '0', '-f', 'framemd5', '-']);
  const lines = output.toString().split('\n');
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(',').map((field) => field.trim()))
    .map((fields) => ({ bytes: Number(fields[4]), hash: fields[5]! }));
}
const FULL_BYTES = (size.width * size.height * 3) / 2;

interface Sent {
  readonly scalabilityMode?: string;
  readonly frameWidth?: number;
}
/** What the browser says of the video that it sends. */
const sentBy = (page: WhipPage['page'], connection: string): Promise<Sent> =>
  page.evaluate(`(async () => {
    const reports = [...(await ${connection}.getStats()).values()];
    return { ...reports.find(({ type, kind }) => type === 'outbound-rtp' && kind === 'video') };
  })()`) as Promise<Sent>;

type Door = 'WHIP' | 'the Web SDK';
async function publish(
  door: Door,
  name: string,
  codec: keyof typeof CODECS,
  mode: string,
): Promise<() => Promise<void>> {
  const source = { source: 'flashAndBeep', sourceOptions: size } as const;
  const sends = (page: WhipPage['page'], connection: string) =>
    waitFor(`${mode} in the full size`, async () => {
      const { scalabilityMode, frameWidth } = await sentBy(page, connection);
      if (scalabilityMode === mode && frameWidth === size.width) return true;
      throw new Error(`${scalabilityMode}, ${frameWidth} pixels wide`);
    });
  if (door === 'WHIP') {
    const page = await WhipPage.open(browser, whipPages);
    const options = { codec, ...source, layers: [{ scalabilityMode: mode }] };
    const { status } = await page.publish(`${gateway.httpUrl}/live/whip/endpoint/${name}`, options);
    t.equal(status, 201);
    await sends(page.page, 'whipPage.connection');
    return async () => {
      await page.request('DELETE');
      await page.close();
    };
  }
  const page = await SdkPage.open(browser, sdkPages);
  await page.publishTo(gateway.wsUrl, { name, stripCodecs: CODECS[codec].others, ...source });
  await page.page.evaluate(`(async () => {
    const sender = hooks.connections.at(-1).getSenders().find(({ track }) => track?.kind === 'video');
    const parameters = sender.getParameters();
    parameters.encodings[0].scalabilityMode = '${mode}';
    await sender.setParameters(parameters);
  })()`);
  await sends(page.page, 'hooks.connections.at(-1)');
  return async () => {
    await page.stop(name);
    await page.close();
  };
}

for (const [door, codec, mode] of [
  ['WHIP', 'vp9', 'L3T3'],
  ['WHIP', 'av1', 'L3T3'],
  ['the Web SDK', 'vp9', 'L2T2_KEY'],
  ['the Web SDK', 'av1', 'L2T2_KEY'],
] as const)
  await t.test(`${codec} with ${mode} from ${door}, as it is, as H.264 and in a recording`, async (t) => {
    const { ivf, decoders } = CODECS[codec];
    const name = `${codec}-${mode}`;
    const end = await publish(door, name, codec, mode);
    // It is found as PENDING before its media arrives.
    await waitFor(
      'the stream',
      async () => (await gateway.rest('/stream/find', { name })).body[0].status === 'PUBLISHING',
    );
    const connection = taker.peers.length;
    const running = [taker, nginx].map(({ rtmpUrl }) =>
      gateway.startPush({ streamName: name, rtmpUrl: `${rtmpUrl}/${name}` }),
    );
    for (const { mediaSessionId } of await Promise.all(running)) await gateway.reached(mediaSessionId, 'pushing');
    t.equal((await gateway.rest('/stream/startRecording', { streamName: name })).status, 200);
    const recordings = async () => (await gateway.http(`/api/v1/recordings?stream=${name}`)).body.recordings;
    await waitFor(
      'three seconds everywhere',
      async () =>
        framesOf(taker.peers[connection]).filter(({ keyFrame }) => keyFrame).length > 2 &&
        (await recordings())[0]?.durationMs > 3000,
      { timeout: 45_000 },
    );
    await end();
    for (const { mediaSessionId } of await Promise.all(running)) await gateway.ended(mediaSessionId, 30_000);

    const peer = taker.peers[connection]!;
    t.match(metadataOf(peer), size);
    const frames = framesOf(peer);
    const file = join(folder, `${name}.ivf`);
    await writeFile(file, ivfOf(ivf, size, tagsOf(peer)));
    const [one, other] = await Promise.all(decoders.map((decoder) => decode(['-c:v', decoder, '-i', file])));
    t.equal(one!.length, frames.length, 'each frame decodes, and is one picture');
    t.ok(
      one!.every(({ bytes }) => bytes === FULL_BYTES),
      'of the highest layer',
    );
    t.strictSame(other, one, 'two decoders see the same');

    const { frames: shown, decodeErrors } = await analyse(recordingOf(nginx, name));
    t.ok(shown.length > 30 && shown.every(({ width, height }) => width === size.width && height === size.height));
    t.strictSame(decodeErrors, []);
    const [recording] = await waitFor('the file', async () => {
      const list = await recordings();
      return list[0]?.state === 'complete' ? list : undefined;
    });
    const recorded = await decode(['-i', join(folder, 'files', recording.file)]);
    t.ok(recorded.length > 30 && recorded.every(({ bytes }) => bytes === FULL_BYTES));
  });
