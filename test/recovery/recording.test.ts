import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { BenchProcess } from '../../bench/child-process.ts';
import type { PublisherRequests } from '../../bench/publishers-main.ts';
import type { Recording } from '../../src/outputs/record/recordings.ts';
import { decodeAll, ffprobe } from '../helpers/ffmpeg-tool.ts';
import { startGateway, type SettingsOverrides, type TestGateway } from '../helpers/gateway.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { readMediaPlaylist } from '../helpers/strict-playlist.ts';
import { waitFor } from '../helpers/wait.ts';

const FPS = 30;
const FRAME_MS = 1000 / FPS;
/** What a killed gateway may lose. */
const MAX_LOSS_MS = 1000;

t.setTimeout(360_000);

async function setUp(t: Test, settings: SettingsOverrides, kbps = 500) {
  const [nginx, publishers] = await Promise.all([
    startNginxRtmp(),
    BenchProcess.start<PublisherRequests>('./publishers-main.ts', [String(kbps)]),
  ]);
  let gateway: TestGateway | undefined;
  const start = async (): Promise<TestGateway> =>
    (gateway = await startGateway({ recording: true, log_level: 'info', ...settings }));
  t.teardown(async () => {
    await publishers.stop();
    await gateway?.stop();
    await nginx.stop();
  });
  const publish = (on: TestGateway, name: string, pushed = false): Promise<unknown> =>
    publishers.ask('publish', {
      name,
      url: `${on.httpUrl}/whip`,
      whip: true,
      ...(pushed && { rtmpUrl: nginx.rtmpUrl }),
    });
  return { nginx, publishers, start, publish };
}

const listOf = async (gateway: TestGateway): Promise<Recording[]> =>
  (await gateway.http('/api/v1/recordings?limit=1000')).body.recordings;

/** The times of the frames in a file, in milliseconds. */
async function frameTimes(file: string): Promise<number[]> {
  const { packets } = (await ffprobe(['-select_streams', 'v', file], 'packet=pts_time')) as {
    packets: { pts_time: string }[];
  };
  return packets.map(({ pts_time: time }) => Number(time) * 1000);
}

/** Collects all segments of a stream, as a player does, in one file. */
function watchHls(gateway: TestGateway, name: string, file: string): () => Promise<void> {
  let watching = true;
  const collect = async (): Promise<void> => {
    const entry = `${gateway.httpUrl}/hls/${name}/index.m3u8`;
    const uri = new URL((await (await fetch(entry)).text()).trim().split('\n').at(-1)!, entry);
    const pieces: Buffer[] = [];
    const load = async (path: string): Promise<void> =>
      void pieces.push(Buffer.from(await (await fetch(new URL(path, uri))).arrayBuffer()));
    let next: number | undefined;
    while (watching) {
      const { segments } = readMediaPlaylist(await (await fetch(uri)).text());
      if (next === undefined) await load(segments[0]!.map);
      for (const { msn, uri: path } of segments)
        if (path && msn === (next ?? msn)) {
          await load(path);
          next = msn + 1;
        }
      await sleep(300);
    }
    await writeFile(file, Buffer.concat(pieces));
  };
  const collecting = collect();
  return () => {
    watching = false;
    return collecting;
  };
}

/** All frames from the first to the last one are there. */
function isWhole(t: Test, times: readonly number[], name: string): void {
  const due = Math.round((times.at(-1)! - times[0]!) / FRAME_MS) + 1;
  // The publisher's clock may be faster than the rate.
  t.ok(times.length >= due, `${name}: ${times.length} of ${due} frames`);
}

await t.test(
  'sixteen recordings, two of them as HLS, with pushes beside them lose nothing, and survive a kill of the gateway',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'recordings-'));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    const record_dir = join(folder, 'files');
    const { nginx, publishers, start, publish } = await setUp(t, {
      ...{ record_all: true, record_dir, state_dir: folder, record_min_free_mb: 1, hls: true, 'hls.port': 0 },
    });
    const gateway = await start();
    const names = Array.from({ length: 16 }, (_, index) => `camera-${index}`);
    const pushed = names.slice(0, 4);
    for (const name of names) await publish(gateway, name, pushed.includes(name));
    const watched = ['camera-1', 'camera-2'];
    const watchers = watched.map((name) => watchHls(gateway, name, join(folder, `${name}.mp4`)));
    await waitFor('five seconds of each', async () => {
      const list = await listOf(gateway);
      return list.length === 16 && list.every(({ durationMs }) => durationMs >= 5000);
    });
    await Promise.all(pushed.map((name) => recorded(recordingOf(nginx, `rtmp_${name}`), 4000)));
    const { gateway: ownMs, children: childrenMs } = gateway.cpu();
    t.comment(
      `processor time so far: ${Math.round(ownMs)} ms of the gateway, ${Math.round(childrenMs)} ms of its children`,
    );

    const ended = ['camera-0', 'camera-15'];
    for (const name of ended) await publishers.ask('stop', name);
    await waitFor('two complete files', async () =>
      (await listOf(gateway)).every(
        ({ stream, state }) => state === (ended.includes(stream) ? 'complete' : 'recording'),
      ),
    );
    await Promise.all(watchers.map((stop) => stop()));
    for (const name of watched) {
      const times = await frameTimes(join(folder, `${name}.mp4`));
      t.ok(times.length > FPS * 3, `${name}: ${times.length} frames by HLS`);
      isWhole(t, times, `${name} by HLS`);
    }
    const before = await listOf(gateway);
    const killedAt = Date.now();
    process.kill(gateway.pid, 'SIGKILL');
    await gateway.exited;
    for (const name of names) await publishers.ask('vanish', name);

    const again = await start();
    const list = await waitFor('all files to be complete', async () => {
      const found = await listOf(again);
      return found.every(({ state }) => state === 'complete') ? found : undefined;
    });
    t.equal(list.length, 16);
    for (const { stream, file, startedAt, durationMs, framesDropped } of list) {
      t.equal(framesDropped, 0, stream);
      const path = join(record_dir, file);
      const { format } = (await ffprobe([path], 'format=duration')) as { format: { duration: string } };
      t.ok(Math.abs(Number(format.duration) * 1000 - durationMs) < 60, `${stream}: ${format.duration} s`);
      isWhole(t, await frameTimes(path), stream);
      const listed = before.find((one) => one.stream === stream)!;
      const lostMs = listed.durationMs - durationMs;
      t.ok(lostMs <= MAX_LOSS_MS, `${stream}: ${lostMs} of ${listed.durationMs} ms that were listed are missing`);
      const sinceMs = killedAt - Date.parse(startedAt) - durationMs;
      if (!ended.includes(stream)) t.comment(`${stream}: ends ${sinceMs} ms before the kill`);
    }
    for (const { file } of list.slice(0, 3)) await decodeAll(['-xerror', '-i', join(record_dir, file)]);
    const kept = list.filter(({ stream }) => ended.includes(stream));
    t.strictSame(
      kept.map(({ id, bytes }) => [id, bytes]),
      before.filter(({ stream }) => ended.includes(stream)).map(({ id, bytes }) => [id, bytes]),
      'complete files are as they were',
    );
    for (const name of pushed) {
      const push = await analyse(recordingOf(nginx, `rtmp_${name}`));
      t.strictSame([...push.decodeErrors, ...push.video.stepsBack], [], name);
      t.ok(push.video.largestGap <= 3 * FRAME_MS, `${name}: no gap in the push, but ${push.video.largestGap} ms`);
    }
  },
);

/** Mounts a disk of two megabytes. @throws {Error} where this is not allowed */
async function smallDisk(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'small-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder], { stdio: 'pipe' });
  } catch (error) {
    await rm(folder, { recursive: true });
    throw error;
  }
  const remove = async (): Promise<void> => {
    execFileSync('umount', [folder]);
    await rm(folder, { recursive: true });
  };
  return { folder, remove };
}

const cannotMount = await smallDisk().then(
  (disk) => disk.remove().then(() => false as const),
  (error: Error) => `no disk can be mounted here: ${error.message.trim().split('\n').at(-1)}`,
);

// Side by side: the gateways wait for their disks most of the time.
t.jobs = 2;
for (const [title, minFree, kbps] of [
  ['a disk that is full ends recordings with the reason, and harms no push', 0, 2000],
  // The gateway looks at the disk every ten seconds.
  ['a disk that is nearly full ends recordings properly, and harms no push', 1, 500],
] as const)
  t.test(title, { skip: cannotMount }, async (t) => {
    const { folder: record_dir, remove } = await smallDisk();
    t.teardown(remove);
    const { nginx, publishers, start, publish } = await setUp(
      t,
      { record_all: true, record_dir, record_min_free_mb: minFree },
      kbps,
    );
    const gateway = await start();
    await publish(gateway, 'one', true);
    await publish(gateway, 'two', true);
    const failed = await waitFor(
      'both recordings to end',
      async () => {
        const list = await listOf(gateway);
        return list.length === 2 && list.every(({ state }) => state === 'failed') ? list : undefined;
      },
      { timeout: 60_000 },
    );
    for (const { stream, file, reasonCode, reason, durationMs } of failed) {
      t.equal(reasonCode, 'DISK_FULL', `${stream}: ${reason}`);
      const times = await frameTimes(join(record_dir, file));
      isWhole(t, times, stream);
      t.ok(Math.abs(times.at(-1)! - durationMs) < MAX_LOSS_MS, `${stream}: it plays to its end`);
      await decodeAll(['-i', join(record_dir, file)]);
    }
    t.match(gateway.logs(), /"code":"DISK_FULL"|"reasonCode":"DISK_FULL"/);
    t.equal((await gateway.rest('/stream/startRecording', { streamName: 'one' })).status, minFree === 0 ? 200 : 507);
    const until = await Promise.all(
      ['one', 'two'].map(async (name) => (await recordedUntil(recordingOf(nginx, `rtmp_${name}`))).video),
    );
    for (const [index, name] of ['one', 'two'].entries())
      await recorded(recordingOf(nginx, `rtmp_${name}`), until[index]! + 2000);
    for (const name of ['one', 'two']) await publishers.ask('stop', name);
    for (const name of ['one', 'two']) {
      const push = await analyse(recordingOf(nginx, `rtmp_${name}`));
      t.strictSame([...push.decodeErrors, ...push.video.stepsBack, ...push.audio.stepsBack], [], name);
      t.ok(push.video.largestGap <= 3 * FRAME_MS, `${name}: no gap in the video, but ${push.video.largestGap} ms`);
      t.ok(push.audio.largestGap <= 50, `${name}: no gap in the audio, but ${push.audio.largestGap} ms`);
    }
    const sizes = await Promise.all(
      (await readdir(record_dir)).map(async (file) => (await stat(join(record_dir, file))).size),
    );
    t.ok(sizes.reduce((sum, size) => sum + size, 0) <= 2 * 1024 * 1024);
  });
