import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import t from 'tap';
import { ffprobe } from '../helpers/ffmpeg-tool.ts';
import { startChromium } from '../helpers/chromium.ts';
import { startGateway } from '../helpers/gateway.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { freePort } from '../helpers/server-process.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { readMediaPlaylist } from '../helpers/strict-playlist.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const hlsPort = await freePort();
const folder = await mkdtemp(join(tmpdir(), 'hls-browser-'));
const settings = {
  hls: true,
  'hls.port': hlsPort,
  hls_idle_s: 1,
  hls_ladder: '120:150',
  hls_dvr_s: 30,
  state_dir: folder,
  record_min_free_mb: 0,
};
const clockFile = join(folder, 'clock-offset');
await writeFile(clockFile, '0');
const env = {
  NODE_OPTIONS: `--import=${new URL('../helpers/stepping-clock.ts', import.meta.url).href}`,
  CLOCK_OFFSET_FILE: clockFile,
};
const [browser, pages, gateway] = await Promise.all([
  startChromium(),
  startPageServer(),
  startGateway(settings, { env }),
]);
t.teardown(async () => {
  await browser.close();
  await pages.close();
  await gateway.stop();
  await rm(folder, { recursive: true });
});

const publisher = await SdkPage.open(browser, pages);
await publisher.publishTo(gateway.wsUrl, { name: 'show', source: 'flashAndBeep' });

/** The unmodified page of the Web SDK, playing with low latency. */
async function openPlayer(): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${pages.url}websdk/examples/demo/streaming/hls-js-player/hls-js-player.html?llhls=true`);
  await page.waitForSelector('#applyBtn:enabled');
  await page.fill('#urlServer', `http://127.0.0.1:${hlsPort}`);
  await page.fill('#playStream', 'show');
  await page.click('#applyBtn');
  return page;
}

await t.test('hls-js-player: the unmodified page of the Web SDK plays with low latency', async (t) => {
  const page = await openPlayer();
  const state = () =>
    page.evaluate(`({ time: remoteVideo.currentTime, width: remoteVideo.videoWidth, latency: hlsPlayer.latency,
      frames: remoteVideo.getVideoPlaybackQuality().totalVideoFrames,
      delayMs: hlsPlayer.playingDate ? Date.now() - hlsPlayer.playingDate.getTime() : Infinity })`) as Promise<{
      time: number;
      width: number;
      latency: number;
      frames: number;
      delayMs: number;
    }>;
  // Without low latency it is three segments, 6 s.
  const playing = await waitFor('playing near the live edge', async () => {
    const now = await state();
    if (now.frames > 90 && now.delayMs < 5000) return now;
    throw new Error(JSON.stringify(now));
  });
  t.comment(JSON.stringify(playing));
  t.ok(playing.width > 0);
  t.equal(await page.evaluate('hlsPlayer.levels.length'), 2);
  t.equal(await page.evaluate('hlsPlayer.levels.some(({ height }) => height === 120)'), true);
  const lower = await page.evaluate('hlsPlayer.levels.findIndex(({ height }) => height === 120)');
  await page.evaluate(`hlsPlayer.nextLevel = ${lower}`);
  await waitFor('the lower quality', () => page.evaluate('remoteVideo.videoHeight === 120'));
  const before = await state();
  await waitFor('it goes on', async () => (await state()).time > before.time + 1);
  // Further back than the six segments of a playlist without DVR, with delta updates in between.
  await waitFor(
    'something to rewind',
    () => page.evaluate('remoteVideo.seekable.end(0) - remoteVideo.seekable.start(0) > 16'),
    {
      timeout: 30_000,
    },
  );
  // The page asks hls.js to go back to the live end.
  await page.evaluate('hlsPlayer.config.liveMaxLatencyDuration = 600');
  await page.evaluate('remoteVideo.currentTime = remoteVideo.seekable.start(0) + 1');
  const seekTo = (await page.evaluate('remoteVideo.currentTime')) as number;
  const where = () =>
    page.evaluate(`({ paused: remoteVideo.paused, seeking: remoteVideo.seeking, ready: remoteVideo.readyState,
      time: remoteVideo.currentTime, from: remoteVideo.seekable.start(0), to: remoteVideo.seekable.end(0) })`) as Promise<{
      paused: boolean;
      seeking: boolean;
      ready: number;
      time: number;
      from: number;
      to: number;
    }>;
  await waitFor('playing from there', async () => {
    const now = await where();
    if (!now.paused && !now.seeking && now.ready > 2 && now.time > seekTo + 1 && now.time < now.to - 10) return true;
    throw new Error(JSON.stringify({ seekTo, ...now }));
  });
  t.equal(await page.evaluate('remoteVideo.error'), null);
  await page.close();
});

await t.test('ffmpeg reads it, and the playlist of the first path is valid', async (t) => {
  const entry = `${gateway.httpUrl}/hls/show/index.m3u8`;
  const answer = await fetch(entry, { headers: { origin: 'http://localhost:1' } });
  t.equal(answer.headers.get('content-type'), 'application/vnd.apple.mpegurl');
  t.equal(answer.headers.get('access-control-allow-origin'), 'http://localhost:1');
  t.equal(answer.headers.get('cache-control'), 'no-store');
  const uri = new URL((await answer.text()).trim().split('\n')[3]!, entry);
  const media = await fetch(uri);
  const playlist = readMediaPlaylist(await media.text());
  const segment = await fetch(new URL(playlist.segments[0]!.uri!, uri));
  t.equal(segment.headers.get('content-type'), 'video/mp4');
  t.match(segment.headers.get('cache-control'), /immutable/);
  t.equal((await segment.arrayBuffer()).byteLength, Number(segment.headers.get('content-length')));
  t.equal((await fetch(new URL('../x/index.m3u8', uri))).status, 404, 'another token');
  t.equal((await fetch(`${uri}?_HLS_part=1`)).status, 400);
  t.equal((await fetch(`${gateway.httpUrl}/hls/nobody/index.m3u8`)).status, 404);
  const probed = (await ffprobe(
    ['-count_frames', '-read_intervals', '%+3', entry],
    'stream=codec_name,codec_type,nb_read_frames',
  )) as { streams: { codec_type: string; codec_name: string; nb_read_frames: string }[] };
  for (const [type, codec] of [['video', 'h264'] as const, ['audio', 'aac'] as const]) {
    const stream = probed.streams.find(({ codec_type }) => codec_type === type)!;
    t.equal(stream.codec_name, codec);
    t.ok(Number(stream.nb_read_frames) > 40, `${stream.nb_read_frames} ${type} frames`);
  }
});

await t.test('hls.js plays on while the camera sends nothing for 20 s', async (t) => {
  const page = await openPlayer();
  const shown = () =>
    page.evaluate(
      '({ time: remoteVideo.currentTime, frames: remoteVideo.getVideoPlaybackQuality().totalVideoFrames })',
    ) as Promise<{ time: number; frames: number }>;
  await waitFor('the picture', async () => (await shown()).frames > 90);
  const camera = `hooks.connections.at(-1).getSenders().find(({ track }) => track?.kind === 'video')`;
  await publisher.page.evaluate(`{ globalThis.sender = ${camera}; globalThis.camera = sender.track; }`);
  await publisher.page.evaluate('sender.replaceTrack(null)');
  const gap = await shown();
  let [movedMs, last, stillMs] = [performance.now(), gap.time, 0];
  await waitFor(
    '18 s',
    async () => {
      const { time } = await shown();
      if (time > last) [movedMs, last] = [performance.now(), time];
      stillMs = Math.max(stillMs, performance.now() - movedMs);
      return time > gap.time + 18;
    },
    { timeout: 60_000 },
  );
  t.ok(
    stillMs < 8000,
    `it stood still for at most ${stillMs.toFixed(0)} ms; a player that waits for video does so for 11 to 15 s`,
  );
  await publisher.page.evaluate('sender.replaceTrack(camera)');
  const before = await shown();
  await waitFor('new frames', async () => {
    const { time, frames } = await shown();
    return time > before.time + 5 && frames > before.frames + 60;
  });
  t.equal(await page.evaluate('remoteVideo.error'), null);
  await page.close();
});

await t.test('a step of the wall clock of the server by an hour ends no viewer, and dates go on', async (t) => {
  const entry = `${gateway.httpUrl}/hls/show/index.m3u8`;
  const open = async () => new URL((await (await fetch(entry)).text()).trim().split('\n')[3]!, entry);
  const [watching, idle] = [await open(), await open()];
  t.equal((await fetch(idle)).status, 200);
  const read = async () => {
    const answer = await fetch(watching);
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    return readMediaPlaylist(await answer.text());
  };
  const clockOf = async (): Promise<number> => {
    const body = (await (await fetch(`${gateway.httpUrl}/hls/nobody/index.m3u8`)).json()) as { timestamp: number };
    return body.timestamp - Date.now();
  };
  let before = await read();
  for (const offsetMs of [0, 0, 3_600_000, -3_600_000]) {
    await writeFile(clockFile, String(offsetMs));
    await waitFor('the step', async () => Math.abs((await clockOf()) - offsetMs) < 60_000);
    const { msn } = before.segments.at(-1)!;
    const after = await waitFor('two more segments', async () => {
      const playlist = await read();
      return playlist.segments.at(-1)!.msn >= msn + 2 ? playlist : undefined;
    });
    t.ok(
      after.segments.every(({ dateMs }) => Math.abs(dateMs - Date.now()) < 120_000),
      'dates do not step',
    );
    t.equal((await fetch(idle)).status, 200, 'a viewer that paused');
    before = after;
  }
  await writeFile(clockFile, '0');
});

await t.test('the end of the stream ends the playlist', async (t) => {
  const entry = `${gateway.httpUrl}/hls/show/index.m3u8`;
  const uri = new URL((await (await fetch(entry)).text()).trim().split('\n')[3]!, entry);
  const before = readMediaPlaylist(await (await fetch(uri)).text());
  const waiting = fetch(`${uri}?_HLS_msn=${before.segments.at(-1)!.msn + 1}`);
  await publisher.stop('show');
  t.equal(readMediaPlaylist(await (await waiting).text()).ended, true);
  t.equal((await fetch(entry)).status, 404);
  await publisher.close();
});
