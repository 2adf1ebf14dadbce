import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import t from 'tap';
import { BenchProcess } from '../../bench/child-process.ts';
import type { PublisherRequests } from '../../bench/publishers-main.ts';
import { startChromium } from '../helpers/chromium.ts';
import { activate } from '../helpers/console-page.ts';
import { ffmpeg, ffprobe, frameHashes } from '../helpers/ffmpeg-tool.ts';
import { publishPage } from '../helpers/console-page.ts';
import { startGateway } from '../helpers/gateway.ts';
import { analyse, median } from '../helpers/recording.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { startSwift } from '../helpers/swift.ts';
import { WhipPage, startWhipPageServer } from '../helpers/whip-page.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const folder = await mkdtemp(join(tmpdir(), 'recordings-'));
const settings = {
  recording: true,
  record_dir: join(folder, 'files'),
  state_dir: join(folder, 'state'),
  record_min_free_mb: 1,
};
const whipPages = await startWhipPageServer();
const opusSettings = {
  ...{ ...settings, record_dir: join(folder, 'opus-files'), state_dir: join(folder, 'opus-state') },
  ...{ record_audio: 'opus', cors_origins: new URL(whipPages.url).origin },
};
const [browser, pages, gateway, opusGateway] = await Promise.all([
  startChromium(),
  startPageServer(),
  startGateway(settings),
  startGateway(opusSettings),
]);
t.teardown(async () => {
  await browser.close();
  await pages.close();
  await whipPages.close();
  await opusGateway.stop();
  await gateway.stop();
  await rm(folder, { recursive: true });
});

const textOf = (page: Page, selector: string, text: RegExp): Promise<string> =>
  waitFor(`${selector} to read ${text}`, async () => {
    const value = (await page.textContent(selector)) ?? '';
    if (!text.test(value)) throw new Error(JSON.stringify(value));
    return value || 'empty';
  });

interface Probe {
  streams: { codec_type: string; codec_name: string; start_time: string; nb_read_frames: string }[];
  format: { duration: string };
}

await t.test('stream_recording: the unmodified page of the Web SDK records, plays and seeks', async (t) => {
  const page = await browser.newPage();
  // The page takes its recordings from its own host, which is that of WCS.
  await page.route('**/client/records/**', (route) =>
    route.continue({ url: gateway.httpUrl + new URL(route.request().url()).pathname }),
  );
  await page.goto(`${pages.url}websdk/examples/demo/streaming/stream_recording/recording.html`);
  await page.fill('#url', `${gateway.wsUrl}/recorded`);
  await page.click('#publishBtn');
  await textOf(page, '#status', /^PUBLISHING$/);
  const [running] = await waitFor('two seconds of recording', async () => {
    const { recordings } = (await gateway.http('/api/v1/recordings?stream=recorded')).body;
    return recordings[0]?.durationMs > 3500 ? recordings : undefined;
  });
  t.match(running, { state: 'recording', part: 1, stream: 'recorded' });
  t.equal((await gateway.rest('/stream/find', { name: 'recorded' })).body[0].record, true);
  await page.click('#publishBtn');
  await textOf(page, '#status', /^UNPUBLISHED$/);

  const link = await page.getAttribute('#link', 'href');
  t.match(link, new RegExp(`/client/records/${running.file}$`));
  t.match(running.file, /^recorded-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9a-f]{8}\.mp4$/);
  const played = (await page.evaluate(`(async () => {
    const video = document.getElementById('recVideo');
    if (video.readyState < 1) await new Promise((resolve, reject) => {
      video.addEventListener('loadedmetadata', resolve);
      video.addEventListener('error', () => reject(new Error(video.error.message)));
    });
    const seek = async (time) => {
      const seeked = new Promise((resolve) => video.addEventListener('seeked', resolve, { once: true }));
      video.currentTime = time;
      await seeked;
      return video.currentTime;
    };
    const duration = video.duration;
    const seeks = [await seek(duration - 0.5), await seek(1)];
    video.muted = true;
    const ended = new Promise((resolve) => video.addEventListener('ended', resolve, { once: true }));
    await video.play();
    await ended;
    const { totalVideoFrames } = video.getVideoPlaybackQuality();
    return { duration, seeks, width: video.videoWidth, height: video.videoHeight, totalVideoFrames };
  })()`)) as { duration: number; seeks: number[]; width: number; height: number; totalVideoFrames: number };
  const [recording] = (await gateway.http('/api/v1/recordings?stream=recorded')).body.recordings;
  t.match(recording, { state: 'complete', reasonCode: 'STREAM_STOPPED' });
  t.ok(Math.abs(played.duration * 1000 - recording.durationMs) < 100, `${played.duration} s`);
  t.ok(Math.abs(played.seeks[0]! - (played.duration - 0.5)) < 0.2 && Math.abs(played.seeks[1]! - 1) < 0.2);
  t.strictSame([played.width, played.height], [320, 240], 'the size that the SDK asks for');
  t.ok(played.totalVideoFrames > 30);

  const file = join(settings.record_dir, recording.file);
  const entries = 'format=duration:stream=codec_type,codec_name,start_time,nb_read_frames';
  const probed = (await ffprobe(['-count_frames', file], entries)) as Probe;
  t.ok(Math.abs(Number(probed.format.duration) * 1000 - recording.durationMs) < 60);
  const [video, audio] = ['video', 'audio'].map((type) => probed.streams.find((one) => one.codec_type === type)!);
  t.strictSame([video!.codec_name, audio!.codec_name], ['h264', 'aac']);
  t.ok(Math.abs(Number(video!.start_time) - Number(audio!.start_time)) <= 0.04);
  t.equal((await frameHashes(['-i', file, '-map', '0:v'])).length, Number(video!.nb_read_frames));

  const range = await fetch(link!.replace(/^https?:\/\/[^/]+/, gateway.httpUrl), { headers: { range: 'bytes=4-7' } });
  t.equal(range.status, 206);
  t.equal(await range.text(), 'ftyp');
  t.equal((await gateway.http(`/api/v1/recordings/${recording.id}`, { method: 'DELETE' })).status, 204);
  t.strictSame(await readdir(settings.record_dir), []);
  await page.close();
});

// The others differ in their configuration record, which test/unit/media compares with ffmpeg's.
for (const codec of process.env['LONG_TESTS'] === '1' ? (['h264', 'vp8', 'vp9', 'av1'] as const) : (['vp9'] as const))
  await t.test(
    `${codec} and Opus are recorded as they came, in time with each other, and play and seek in Chromium`,
    async (t) => {
      const page = await WhipPage.open(browser, whipPages);
      const name = `whip-${codec}`;
      const { status } = await page.publish(`${opusGateway.httpUrl}/live/whip/endpoint/${name}?mode=record`, {
        ...{ codec, source: 'flashAndBeep', sourceOptions: { width: 320, height: 180 } },
      });
      t.equal(status, 201);
      const list = async () => (await opusGateway.http(`/api/v1/recordings?stream=${name}`)).body.recordings;
      await waitFor('six seconds', async () => (await list())[0]?.durationMs > 6000, { timeout: 30_000 });
      t.strictSame(opusGateway.children('video-encoder'), [], 'no encoder');
      t.strictSame(opusGateway.children('audio-encoder'), []);
      const { streams: sending } = await page.flow('outbound-rtp');
      const sent = sending.find(({ kind }) => kind === 'video')!.framesEncoded!;
      await page.request('DELETE');
      await page.close();
      const recording = await waitFor('the file', async () => {
        const [last, ...others] = await list();
        t.strictSame(others, [], 'one file');
        return last.state === 'complete' ? last : undefined;
      });
      t.match(recording, { videoCodec: codec, audioCodec: 'opus', width: 320, height: 180, framesDropped: 0 });

      const file = join(opusSettings.record_dir, recording.file);
      const entries = 'format=duration:stream=codec_type,codec_name,start_time,nb_read_frames';
      const probed = (await ffprobe(['-count_frames', file], entries)) as Probe;
      t.strictSame(probed.streams.map(({ codec_name: one }) => one).sort(), [codec, 'opus'].sort());
      const frames = Number(probed.streams.find(({ codec_type: type }) => type === 'video')!.nb_read_frames);
      // The recording begins with a key frame, which the browser is asked for when the stream is published.
      t.ok(sent - frames <= 45 && frames - sent <= 12, `${frames} frames, and the browser has sent ${sent}`);
      t.equal((await frameHashes(['-i', file, '-map', '0:v'])).length, frames, 'all decode');

      const copy = join(folder, `${name}.flv`);
      const encoders = ['-fps_mode', 'passthrough', '-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '0'];
      await ffmpeg(['-i', file, ...encoders, '-c:a', 'pcm_s16le', '-ar', '44100', copy]);
      const offsets = (await analyse(copy)).lipSync();
      t.ok(offsets.length >= 4, `${offsets.length} flashes with a beep`);
      t.ok(Math.abs(median(offsets)) <= 40, `the audio is ${Math.round(median(offsets))} ms late`);

      const played = await playAndSeek(`${opusGateway.httpUrl}/client/records/${recording.file}`);
      t.match(played, { width: 320, height: 180, seeks: [true, true] });
      t.ok(Math.abs(played.duration * 1000 - recording.durationMs) < 150, `${played.duration} s`);
      t.ok(played.frames > frames / 2, `${played.frames} frames were shown`);
    },
  );

/** Plays a recording on a page of the gateway, which allows nothing else. */
async function playAndSeek(
  url: string,
): Promise<{ duration: number; width: number; height: number; seeks: boolean[]; frames: number }> {
  const page = await browser.newPage();
  await page.goto(new URL('/', url).href);
  const result = await page.evaluate(`(async () => {
    const video = Object.assign(document.createElement('video'), { muted: true, src: ${JSON.stringify(url)} });
    document.body.append(video);
    const event = (name) => new Promise((resolve, reject) => {
      video.addEventListener(name, resolve, { once: true });
      video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true });
    });
    if (video.readyState < 1) await event('loadedmetadata');
    const { duration, videoWidth: width, videoHeight: height } = video;
    const seeks = [];
    for (const time of [duration - 1, 2]) {
      const seeked = event('seeked');
      video.currentTime = time;
      await seeked;
      seeks.push(Math.abs(video.currentTime - time) < 0.2);
    }
    const ended = event('ended');
    await video.play();
    await ended;
    const { totalVideoFrames: frames } = video.getVideoPlaybackQuality();
    return { duration, width, height, seeks, frames };
  })()`);
  await page.close();
  return result as Awaited<ReturnType<typeof playAndSeek>>;
}

await t.test('a changed size begins another file; REST starts and stops', async (t) => {
  const page = await SdkPage.open(browser, pages);
  await page.publishTo(gateway.wsUrl, { name: 'sized', source: 'flashAndBeep' });
  t.equal((await gateway.rest('/stream/startRecording', { streamName: 'sized' })).status, 200);
  t.equal((await gateway.rest('/stream/startRecording', { streamName: 'sized' })).status, 409);
  const list = async () => (await gateway.http('/api/v1/recordings?stream=sized')).body.recordings;
  await waitFor('the first file', async () => (await list())[0]?.durationMs > 1500);
  await page.resize(320, 180);
  await waitFor('the second file', async () => (await list())[0]?.part === 2 && (await list())[0].durationMs > 1500);
  t.equal((await gateway.rest('/stream/stopRecording', { streamName: 'sized' })).status, 200);
  t.equal((await gateway.rest('/stream/stopRecording', { streamName: 'sized' })).status, 404);
  const [second, first] = await list();
  t.match(
    [first, second],
    [
      { part: 1, state: 'complete' },
      { part: 2, state: 'complete', width: 320, height: 180 },
    ],
  );
  t.equal(second.series, first.id);
  t.equal(second.file, first.file.replace('.mp4', '-0002.mp4'));
  for (const { file } of [first, second]) await frameHashes(['-i', join(settings.record_dir, file)]);
  await page.close();
});

await t.test('the console lists, plays and deletes recordings', async (t) => {
  const page = await browser.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  page.on('dialog', (dialog) => void dialog.accept());
  await page.goto(publishPage(gateway.httpUrl));
  t.equal(await page.isVisible('#recordings-card'), false, 'nothing is recorded');
  await page.fill('#stream-name', 'sized');
  await waitFor('both files', async () => (await page.locator('#recordings li').count()) === 2);
  await waitFor('both posters', () =>
    page
      .locator('#recordings img.poster')
      .evaluateAll((images: { naturalWidth: number }[]) => images.length === 2 && images[0]!.naturalWidth > 0),
  );
  await activate(page.locator('#recordings').getByRole('button', { name: 'Play' }).first());
  await waitFor('the video', () =>
    page
      .locator('#recording-video')
      .evaluate(
        (video: { currentTime: number; videoWidth: number }) => video.currentTime > 0.5 && video.videoWidth === 320,
      ),
  );
  if (process.env['SCREENSHOT']) await page.screenshot({ path: process.env['SCREENSHOT'], fullPage: true });
  await activate(page.locator('#recordings').getByRole('button', { name: 'Delete' }).first());
  await waitFor('one file', async () => (await page.locator('#recordings li').count()) === 1);
  t.equal(await page.isVisible('#recording-screen'), false, 'the player closes with its recording');
  t.strictSame(faults, []);
  await page.close();
});

await t.test('the console shows what is in a bucket, and plays it by a redirect', async (t) => {
  const [swift, publishers] = await Promise.all([
    startSwift(),
    BenchProcess.start<PublisherRequests>('./publishers-main.ts', ['500']),
  ]);
  const bucketGateway = await startGateway(
    {
      ...{ ...settings, record_dir: join(folder, 'bucket-files'), state_dir: join(folder, 'bucket-state') },
      ...{ ...swift.settings, s3_delete_local: true, s3_redirect: true, record_all: true },
    },
    { env: swift.env },
  );
  const page = await browser.newPage();
  t.teardown(async () => {
    await page.close();
    await publishers.stop();
    await bucketGateway.stop();
    await swift.stop();
  });
  const faults: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  page.on('dialog', (dialog) => void dialog.accept());
  await page.goto(publishPage(bucketGateway.httpUrl));
  await page.fill('#stream-name', 'stored');
  await publishers.ask('publish', { name: 'stored', url: `${bucketGateway.httpUrl}/whip`, whip: true });
  await textOf(page, '#recordings .storage', /^Waits for its upload to the bucket films$/);
  await waitFor('two seconds', async () => {
    const { recordings } = (await bucketGateway.http('/api/v1/recordings')).body;
    return recordings[0]?.durationMs > 2000;
  });
  await publishers.ask('stop', 'stored');
  await textOf(page, '#recordings .storage', /^In the bucket films$/);
  const [fromBucket] = await Promise.all([
    page.waitForResponse((response) => response.url().startsWith(String(swift.settings.s3_endpoint))),
    activate(page.locator('#recordings').getByRole('button', { name: 'Play' })),
  ]);
  t.ok([200, 206].includes(fromBucket.status()));
  await waitFor('the video', () =>
    page
      .locator('#recording-video')
      .evaluate(
        (video: { currentTime: number; videoWidth: number }) => video.currentTime > 0.5 && video.videoWidth > 0,
      ),
  );
  await activate(page.locator('#recordings').getByRole('button', { name: 'Delete' }));
  await waitFor('no recording', async () => !(await page.isVisible('#recordings-card')));
  t.strictSame(await swift.keys(), []);
  t.strictSame(faults, []);
});

await t.test(
  'snapshots: an image of the current frame, and the console shows a stream of another client',
  async (t) => {
    const publisher = await SdkPage.open(browser, pages);
    await publisher.publishTo(gateway.wsUrl, { name: 'elsewhere', source: 'flashAndBeep' });
    const take = async (query: string): Promise<{ image: Buffer; takenAt: number }> => {
      const response = await fetch(`${gateway.httpUrl}/api/v1/streams/elsewhere/snapshot.jpg${query}`);
      t.equal(response.status, 200);
      const takenAt = Date.parse(response.headers.get('x-frame-time')!);
      return { image: Buffer.from(await response.arrayBuffer()), takenAt };
    };
    const [one, same, small] = await Promise.all([take(''), take(''), take('?width=160')]);
    t.ok(one.image.equals(same.image), 'one decode');
    t.ok(Math.abs(Date.now() - one.takenAt) < 10_000 && small.takenAt >= one.takenAt);
    const probed = await ffprobe(['-f', 'jpeg_pipe', '-i', 'pipe:0'], 'stream=codec_name,width', small.image);
    t.match(probed, { streams: [{ codec_name: 'mjpeg', width: 160 }] });

    const page = await browser.newPage();
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    await page.goto(publishPage(gateway.httpUrl));
    t.equal(await page.isVisible('#stream-poster'), false, 'another stream is chosen');
    await page.fill('#stream-name', 'elsewhere');
    const source = () => page.getAttribute('#stream-image', 'src');
    await waitFor('a snapshot', () => page.isVisible('#stream-poster'));
    const first = await source();
    if (process.env['SCREENSHOT']) await page.screenshot({ path: `${process.env['SCREENSHOT']}.live.png` });
    await waitFor('the next one', async () => (await source()) !== first);
    await page.fill('#stream-name', 'none');
    await waitFor('no snapshot', async () => !(await page.isVisible('#stream-poster')));
    await page.fill('#stream-name', 'elsewhere');
    await waitFor('a snapshot', () => page.isVisible('#stream-poster'));
    await publisher.stop('elsewhere');
    await waitFor('the end', async () => !(await page.isVisible('#stream-poster')));
    t.strictSame(faults, []);
    await page.close();
    await publisher.close();
  },
);

await t.test('a stream that is held for its publisher keeps its recording, which can be stopped', async (t) => {
  const page = await SdkPage.open(browser, pages);
  await page.publishTo(gateway.wsUrl, { name: 'away', source: 'flashAndBeep' });
  await gateway.rest('/stream/startRecording', { streamName: 'away' });
  const list = async () => (await gateway.http('/api/v1/recordings?stream=away')).body.recordings;
  await waitFor('a second', async () => (await list())[0]?.durationMs > 1000);
  await page.close();
  await waitFor('the loss', async () =>
    (await gateway.http('/api/v1/streams')).body.some(
      (one: { name: string; status: string }) => one.name === 'away' && one.status === 'held',
    ),
  );
  await sleep(2000);
  t.equal((await list())[0].state, 'recording');
  const before = (await list())[0].durationMs;
  t.equal((await gateway.rest('/stream/stopRecording', { streamName: 'away' })).status, 200);
  const [recording] = await list();
  t.equal(recording.state, 'complete');
  t.ok(recording.durationMs >= before - 600);
});
