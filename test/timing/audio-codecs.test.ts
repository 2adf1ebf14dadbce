import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import t from 'tap';
import { readFlv } from '../helpers/flv-file.ts';
import { analyse, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';

t.setTimeout(FILE_TIMEOUT);

const execute = promisify(execFile);

/** Its second half contains a beep, of which there is one in a second. */
const PART_MS = 2600;

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
    /** Records further, and returns where it began. */
    const part = async (): Promise<number> => {
      const at = (await recordedUntil(file)).audio;
      await recorded(file, at + PART_MS, 30_000);
      return at;
    };
    await recorded(file, 500, 30_000);
    const live = await part();
    t.equal((await gateway.rest('/push/mute', { mediaSessionId })).status, 200);
    const muted = await part();
    t.equal((await gateway.rest('/push/sound_on', { mediaSessionId, soundFile: 'test.wav', loop: true })).status, 200);
    const filed = await part();
    await page.close();

    t.equal(await audioOf(file), expected);
    const recording = await analyse(file);
    t.strictSame(recording.decodeErrors, []);
    t.strictSame(recording.audio.stepsBack, []);
    // The first tag is silence. It announces the codec, as a sequence header does; audio begins when its encoder does.
    const times = readFlv(await readFile(file))
      .tags.filter(({ kind }) => kind === 'audio')
      .slice(1)
      .map(({ timestamp }) => timestamp);
    const gaps = times.slice(1).map((ms, i) => ms - times[i]!);
    t.ok(Math.max(...gaps) <= 50, `no gap: ${Math.max(...gaps)} ms`);
    const loudest = (from: number, to: number): number =>
      Math.max(
        ...Array.from({ length: (to - from) / 50 }, (_, i) => recording.level(from + i * 50, from + i * 50 + 50)),
      );
    /** The loudest of the second half of a part: audio in flight is still sent after a switch. */
    const level = (at: number): number => loudest(at + PART_MS / 2, at + PART_MS - 100);
    t.ok(level(live) > -40, `beeps: ${level(live)} dBFS`);
    t.ok(level(muted) < -50, `muted: ${level(muted)} dBFS`);
    t.ok(level(filed) > -40, `the sound file: ${level(filed)} dBFS`);
  });
}
