import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { analyse, recorded, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';

t.setTimeout(FILE_TIMEOUT);

const execute = promisify(execFile);

/** Codec, rate and channels from ffprobe. */
async function audioOf(file: string): Promise<string> {
  const { stdout } = await execute('ffprobe', [
    '-v',
    'error',
    '-select_streams',
    'a:0',
    '-show_entries',
    'stream=codec_name,sample_rate,channels',
    '-of',
    'csv=p=0',
    file,
  ]);
  return stdout.trim();
}

for (const [codec, expected] of [
  ['pcma', 'pcm_alaw,8000,1'],
  ['speex', 'speex,16000,1'],
] as const) {
  await t.test(`rtmp_transponder_audio_codec=${codec}`, async (t) => {
    const { gateway, nginx, publisher } = await setStage(t, { settings: { rtmp_transponder_audio_codec: codec } });
    const page = await publisher({ name: 'talk' });
    const { mediaSessionId } = await gateway.startPush({ streamName: 'talk', rtmpUrl: nginx.rtmpUrl });
    const file = recordingOf(nginx, 'rtmp_talk');
    await recorded(file, 3000, 15_000);
    t.equal((await gateway.rest('/push/mute', { mediaSessionId })).status, 200);
    await recorded(file, 5000, 15_000);
    t.equal((await gateway.rest('/push/sound_on', { mediaSessionId, soundFile: 'test.wav', loop: true })).status, 200);
    await recorded(file, 7000, 15_000);
    await page.close();

    t.equal(await audioOf(file), expected);
    const recording = await analyse(file);
    t.strictSame(recording.decodeErrors, []);
    t.strictSame(recording.audio.stepsBack, []);
    t.ok(
      recording.audio.largestGap <= 50,
      `no gap: ${recording.audio.largestGap} ms at ${recording.audio.largestGapAt}`,
    );
    const loudest = (from: number, to: number): number =>
      Math.max(
        ...Array.from({ length: (to - from) / 50 }, (_, i) => recording.level(from + i * 50, from + i * 50 + 50)),
      );
    t.ok(loudest(500, 2900) > -40, `beeps: ${loudest(500, 2900)} dBFS`);
    t.ok(loudest(3600, 4900) < -50, `muted: ${loudest(3600, 4900)} dBFS`);
    t.ok(loudest(5600, 6900) > -40, `the sound file: ${loudest(5600, 6900)} dBFS`);
  });
}
