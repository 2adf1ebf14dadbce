import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { analyse, median, MOST_SOUND_LAG, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { toneWav } from '../helpers/wav.ts';

t.setTimeout(FILE_TIMEOUT);

// The page sends a tone of -9 dBFS, the file has one of -23 dBFS, so the level shows the source of each part of a recording.
const mediaDir = await mkdtemp(join(tmpdir(), 'sounds-'));
t.teardown(() => rm(mediaDir, { recursive: true }));
await writeFile(join(mediaDir, 'quiet.wav'), toneWav(1, 1500, 0.1, 44_100));
await writeFile(join(mediaDir, 'noise.txt'), 'not a sound');

const { gateway, nginx, publisher } = await setStage(t, { settings: { media_dir: mediaDir } });
const page = await publisher({ name: 'talk', source: 'tone', sourceOptions: { width: 320, height: 180 } });

const LIVE = [-12, -6] as const;
const SOUND = [-26, -20] as const;
const SILENT = [-120, -80] as const;
/** Milliseconds of each part, and until a switch takes effect, because audio in flight is still sent and recorded. */
const PART = 2000;
const SETTLE = 1300;
/** Where a file is heard that is played once, in milliseconds. */
const PIECE = 400;

await t.test('switching between live, mute and a file leaves no gap, and timestamps never decrease', async (t) => {
  const { mediaSessionId } = await gateway.startPush({ streamName: 'talk', rtmpUrl: nginx.rtmpUrl });
  const file = recordingOf(nginx, 'rtmp_talk');
  const marks: { at: number; what: string; range: readonly [number, number] }[] = [];
  const part = async (what: string, range: readonly [number, number], request?: [string, object?]): Promise<void> => {
    if (request) {
      const answer = await gateway.rest(`/push/${request[0]}`, { mediaSessionId, ...request[1] });
      t.match(answer, { status: 200, text: '' }, request[0]);
    }
    const at = (await recordedUntil(file)).audio;
    marks.push({ at, what, range });
    await recorded(file, at + PART);
  };

  await recorded(file, 1000);
  await part('live', LIVE);
  await part('muted', SILENT, ['mute']);
  t.match(await gateway.transponder(mediaSessionId), { muted: true, soundEnabled: false });
  t.equal((await gateway.rest('/push/mute', { mediaSessionId })).status, 200, 'mute is idempotent');
  await part('a looped file while muted', SOUND, ['sound_on', { soundFile: 'quiet.wav', loop: true }]);
  await part('the loop continues', SOUND);
  t.match(await gateway.transponder(mediaSessionId), { muted: true, soundEnabled: true });
  await part('still muted after the file', SILENT, ['sound_off']);
  await part('live again', LIVE, ['unmute']);
  t.match(await gateway.transponder(mediaSessionId), { muted: false, soundEnabled: false });
  await part('a file once', SOUND, ['sound_on', { soundFile: 'quiet.wav', loop: false }]);
  await part('live after the end of the file', LIVE);
  t.match(await gateway.transponder(mediaSessionId), { muted: false, soundEnabled: false });

  t.match(await gateway.rest('/push/sound_on', { mediaSessionId, soundFile: 'missing.wav', loop: false }), {
    status: 404,
    body: { exception: 'SOUND_FILE_NOT_FOUND' },
  });
  t.match(await gateway.rest('/push/sound_on', { mediaSessionId, soundFile: '../../etc/passwd', loop: false }), {
    status: 404,
    body: { exception: 'SOUND_FILE_NOT_FOUND' },
  });
  t.match(await gateway.rest('/push/sound_on', { mediaSessionId, soundFile: 'noise.txt', loop: false }), {
    status: 400,
    body: { exception: 'SOUND_FILE_INVALID' },
  });
  t.match(await gateway.rest('/push/sound_on', { mediaSessionId: 'nobody', soundFile: 'quiet.wav', loop: false }), {
    status: 404,
    body: { exception: 'TRANSPONDER_NOT_FOUND' },
  });
  await gateway.rest('/push/terminate', { mediaSessionId });

  const recording = await analyse(file);
  for (const {
    at,
    what,
    range: [low, high],
  } of marks) {
    const isInRange = (level: number): boolean => level >= low && level <= high;
    if (what === 'a file once') {
      const levels = Array.from({ length: (PART - PIECE) / 100 }, (_, i) =>
        recording.level(at + i * 100, at + i * 100 + PIECE),
      );
      t.ok(levels.some(isInRange), `${what}: ${levels.map(Math.round).join()} dBFS from ${at} ms`);
      continue;
    }
    const level = recording.level(at + SETTLE, at + PART - 50);
    t.ok(isInRange(level), `${what}: ${level.toFixed(1)} dBFS at ${at} ms`);
  }
  t.strictSame(recording.decodeErrors, []);
  t.strictSame(recording.audio.stepsBack, [], 'timestamps never decrease');
  t.ok(
    recording.audio.largestGap <= 50,
    `largest gap ${recording.audio.largestGap} ms at ${recording.audio.largestGapAt}`,
  );
  t.strictSame(recording.video.stepsBack, []);
  t.ok(
    Math.abs(recording.audio.last - recording.video.last) <= MOST_SOUND_LAG,
    `tracks end together: ${recording.audio.last} and ${recording.video.last}`,
  );
});

await t.test('options of startup apply from the first frame: mute or a file', async (t) => {
  const pushes = [
    { name: 'muted', options: { action: 'mute' }, range: SILENT },
    { name: 'filed', options: { action: 'sound_on', soundFile: 'quiet.wav', loop: true }, range: SOUND },
  ] as const;
  await Promise.all(
    pushes.map(async ({ name, options, range: [low, high] }) => {
      const view = await gateway.startPush({
        streamName: 'talk',
        rtmpUrl: `${nginx.rtmpUrl}/${name}`,
        rtmpTransponderFullUrl: true,
        options,
      });
      t.match(view, { muted: name === 'muted', soundEnabled: name === 'filed' }, name);
      await recorded(recordingOf(nginx, name), 1500);
      await gateway.rest('/push/terminate', { mediaSessionId: view.mediaSessionId });
      const level = (await analyse(recordingOf(nginx, name))).level(100, 1400);
      t.ok(level >= low && level <= high, `${name}: ${level.toFixed(1)} dBFS`);
    }),
  );
});

await t.test('silence while the microphone is off, then audio again', async (t) => {
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'talk',
    rtmpUrl: `${nginx.rtmpUrl}/mic`,
    rtmpTransponderFullUrl: true,
  });
  const file = recordingOf(nginx, 'mic');
  await recorded(file, 1000);
  await page.muteAudio('talk');
  const off = (await recordedUntil(file)).audio;
  await recorded(file, off + PART);
  const on = (await recordedUntil(file)).audio;
  await page.unmuteAudio('talk');
  await recorded(file, on + PART);
  await gateway.rest('/push/terminate', { mediaSessionId });
  const recording = await analyse(file);
  t.ok(recording.level(off + SETTLE, on) < -80, `${recording.level(off + SETTLE, on).toFixed(1)} dBFS while off`);
  t.ok(
    recording.level(on + SETTLE, on + PART) > -15,
    `${recording.level(on + SETTLE, on + PART).toFixed(1)} dBFS when back`,
  );
  t.ok(recording.audio.largestGap <= 50, `largest gap ${recording.audio.largestGap} ms`);
  t.strictSame(recording.audio.stepsBack, []);
});

await t.test('lip sync is kept after each switch', async (t) => {
  const flashing = await publisher({
    name: 'lips',
    source: 'flashAndBeep',
    sourceOptions: { width: 320, height: 180 },
  });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'lips', rtmpUrl: nginx.rtmpUrl });
  const file = recordingOf(nginx, 'rtmp_lips');
  await recorded(file, 1000);
  for (const [there, request, back] of [
    ['mute', {}, 'unmute'],
    ['sound_on', { soundFile: 'quiet.wav', loop: true }, 'sound_off'],
  ] as const) {
    await gateway.rest(`/push/${there}`, { mediaSessionId, ...request });
    await recorded(file, (await recordedUntil(file)).audio + 500);
    await gateway.rest(`/push/${back}`, { mediaSessionId });
    await recorded(file, (await recordedUntil(file)).audio + 3000);
  }
  await gateway.rest('/push/terminate', { mediaSessionId });
  const recording = await analyse(file);
  const offsets = recording.lipSync();
  t.ok(offsets.length >= 3, `beep minus flash, ms: ${offsets.map(Math.round).join(' ')}`);
  t.ok(Math.abs(median(offsets)) <= 60);
  t.strictSame(recording.audio.stepsBack, []);
  await flashing.close();
});
