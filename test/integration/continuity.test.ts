import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { flvHeader } from '../../src/media/containers/flv-writer.ts';
import { breaksOf, secondsOf } from '../helpers/continuity.ts';
import { ffmpeg } from '../helpers/ffmpeg-tool.ts';
import { encodeFlvTag } from '../helpers/flv-tags.ts';
import { analyse, type Recording } from '../helpers/recording.ts';

const folder = t.testdir();

/** White with a tone for two seconds, then black with silence for three. */
async function recording(name: string, change = (tags: FlvTag[]): FlvTag[] => tags): Promise<Recording> {
  const video = 'color=white:s=64x64:r=25:d=5,fade=out:50:1';
  const audio = "aevalsrc='if(lt(t,2),0.5*sin(2*PI*440*t),0)':s=48000:d=5";
  const encoding = ['-c:v', 'libx264', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p', '-g', '25', '-c:a', 'aac'];
  const flv = await ffmpeg(['-f', 'lavfi', '-i', video, '-f', 'lavfi', '-i', audio, ...encoding, '-f', 'flv', '-']);
  const tags = change(new FlvReader().push(flv));
  const file = join(folder, name);
  await writeFile(
    file,
    Buffer.concat([flvHeader({ audio: true, video: true }), ...tags.map((tag) => encodeFlvTag(tag))]),
  );
  return analyse(file);
}

const LIMITS = { frameMs: 40, jitterMs: 0 };

t.test('a continuous recording has no breaks, and its seconds are seen and heard', async (t) => {
  const whole = await recording('whole.flv');
  t.strictSame(breaksOf(whole, LIMITS), []);
  const [first, , , fourth] = secondsOf(whole);
  t.ok(first!.brightness > 200 && first!.level > -12, 'white and loud');
  t.ok(fourth!.brightness < 40 && fourth!.level < -60, 'black and silent');
});

t.test('breaks are found', async (t) => {
  const isFrame = (tag: FlvTag, from: number, to: number): boolean =>
    tag.type === TAG_VIDEO && !tag.sequenceHeader && tag.timestamp >= from && tag.timestamp < to;
  const gap = await recording('gap.flv', (tags) => tags.filter((tag) => !isFrame(tag, 1000, 2000)));
  t.match(breaksOf(gap, LIMITS), [/^video gap of 1040 ms at 9[68]\d ms$/]);
  const silent = await recording('silent.flv', (tags) =>
    tags.filter(({ type, timestamp }) => type !== 8 || timestamp < 900 || timestamp > 1200),
  );
  t.match(breaksOf(silent, LIMITS), [/^audio gap of \d+ ms at 8\d\d ms$/]);
  const back = await recording('back.flv', (tags) =>
    tags.map((tag) => (isFrame(tag, 2000, 9000) ? { ...tag, timestamp: tag.timestamp - 500 } : tag)),
  );
  t.ok(breaksOf(back, LIMITS).includes('video timestamps go back: 1981 to 1521'));
  const damaged = await recording('damaged.flv', (tags) =>
    tags.filter((tag) => !(isFrame(tag, 0, 9000) && tag.keyFrame && tag.timestamp < 500)),
  );
  t.ok(breaksOf(damaged, LIMITS).includes('video does not start with a key frame'));
});
