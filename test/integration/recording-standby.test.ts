import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { decodeAll, ffmpeg } from '../helpers/ffmpeg-tool.ts';
import { startGateway } from '../helpers/gateway.ts';
import { createMedia, MediaPublisher } from '../helpers/media-publisher.ts';
import { analyse } from '../helpers/recording.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

/** Recordings that go on while their publisher is away (`record_standby`). */

t.setTimeout(FILE_TIMEOUT);

const FPS = 30;
const HOLD_MS = 6000;
const folder = await mkdtemp(join(tmpdir(), 'recording-standby-'));
const [gateway, media] = await Promise.all([
  startGateway({
    ...{ recording: true, record_all: true, record_standby: true, record_dir: folder, record_min_free_mb: 0 },
    ...{ publisher_resume_window_ms: 0, standby_freeze_ms: 1000, standby_hold_ms: HOLD_MS, standby_color: '#204060' },
  }),
  createMedia('640x360', FPS),
]);
t.teardown(async () => {
  await Promise.all([media.remove(), gateway.stop()]);
  await rm(folder, { recursive: true });
});

const publish = (stream: string): Promise<MediaPublisher> =>
  MediaPublisher.start({ httpUrl: gateway.httpUrl, stream, fps: FPS, video: media.video, audio: media.audio });

interface Listed {
  readonly id: string;
  readonly file: string;
  readonly state: string;
  readonly durationMs: number;
  readonly reasonCode?: string;
}
const recordingsOf = async (stream: string): Promise<Listed[]> =>
  (await gateway.http(`/api/v1/recordings?stream=${stream}`)).body.recordings;
const recordedFor = (stream: string, durationMs: number): Promise<unknown> =>
  waitFor(`${durationMs} ms of ${stream}`, async () =>
    (await recordingsOf(stream)).some((recording) => recording.durationMs >= durationMs),
  );
const ended = (stream: string): Promise<Listed> =>
  waitFor(
    `the end of ${stream}`,
    async () => (await recordingsOf(stream)).find(({ state }) => state === 'complete' || state === 'failed'),
    { timeout: 30_000 },
  );

const [first, gone] = await Promise.all([publish('killed'), publish('gone')]);
t.teardown(() => Promise.all([first.kill(), gone.kill()]));
await Promise.all([recordedFor('killed', 2500), recordedFor('gone', 2500)]);
const lostMs = (await recordingsOf('gone'))[0]!.durationMs;
await Promise.all([first.kill(), gone.kill()]);
await waitFor('the loss to be noticed', async () => (await gateway.http('/api/v1/streams')).body.length === 0, {
  timeout: 60_000,
});

await t.test('a publisher is killed, and another one returns: one file without a gap', async (t) => {
  const second = await publish('killed');
  t.teardown(() => second.kill());
  await recordedFor('killed', (await recordingsOf('killed'))[0]!.durationMs + 3000);
  t.equal((await gateway.rest('/stream/stopRecording', { streamName: 'killed' })).status, 200);
  const recording = await ended('killed');
  t.equal((await recordingsOf('killed')).length, 1);
  t.match(recording, { state: 'complete' });
  const file = join(folder, recording.file);
  const copy = join(folder, 'copy.flv');
  await ffmpeg(['-i', file, '-c', 'copy', copy]);
  const { frames, decodeErrors, video, audio } = await analyse(copy);
  t.strictSame(decodeErrors, []);
  t.strictSame([...video.stepsBack, ...audio.stepsBack], [], 'timestamps never decrease');
  t.ok(video.largestGap <= 2 * Math.ceil(1000 / FPS) + 8, `no gap in the video: ${video.largestGap} ms`);
  t.ok(audio.largestGap <= 45, `no gap in the audio: ${audio.largestGap} ms`);
  const dark = frames.filter(({ brightness }) => brightness < 120).map(({ time }) => time);
  t.ok(dark.length > FPS / 2, `${dark.length} frames of the standby picture`);
  t.ok(frames[0]!.time < dark[0]! && frames.at(-1)!.time > dark.at(-1)! + 1000, 'live before and after them');
  for (const from of [dark[10]!, dark.at(-1)! + 1500])
    await t.resolves(decodeAll(['-ss', String(from / 1000), '-i', file, '-an']), `decodes from ${from} ms on`);
});

await t.test('without a return it ends after standby_hold_ms', async (t) => {
  const recording = await ended('gone');
  t.match(recording, { state: 'complete', reasonCode: 'PUBLISHER_LOST' });
  t.ok(recording.durationMs >= lostMs + HOLD_MS, `${recording.durationMs} ms of which ${lostMs} were live at least`);
});
