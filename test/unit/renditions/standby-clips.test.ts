import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import type { StandbyClip } from '../../../src/renditions/standby/standby-clip.ts';
import { StandbyClips } from '../../../src/renditions/standby/standby-clips.ts';
import { childrenOf } from '../../helpers/processes.ts';
import { waitFor } from '../../helpers/wait.ts';
import { wrapFfmpeg } from '../../helpers/wrapped-ffmpeg.ts';

// A file named after what the wrapper does: `hang` instead of encoding, or fail to draw text for one of two reasons.
const wrapped = await wrapFfmpeg(
  t,
  `case "$*" in
  *"-f flv"*) echo start >> "$FOLDER/starts"; [ -e "$FOLDER/hang" ] && exec sleep 60;;
  *drawtext*) [ -e "$FOLDER/no-filter" ] && { echo "No such filter: 'drawtext'" >&2; exit 1; }
    [ -e "$FOLDER/no-font" ] && { echo "Cannot find a valid font for the family Sans" >&2; exit 1; };;
esac`,
);
const clips = new StandbyClips({ directory: wrapped, logger: silentLogger });
t.teardown(() => clips.close());

const FORMAT = { width: 64, height: 48, fps: 10, keyFrameIntervalMs: 500 };
const color = (source: StandbyClips, color: string, text?: string): Promise<StandbyClip> =>
  source.clip({ source: 'color', color, ...(text && { text }) }, FORMAT);
const starts = async (): Promise<number> =>
  (await readFile(join(wrapped, 'starts'), 'utf8').catch(() => '')).split('\n').length - 1;

t.test('text needs a filter and a font, and what is missing is said', async (t) => {
  await writeFile(join(wrapped, 'no-filter'), '');
  await t.rejects(color(clips, '#000000', 'x'), {
    code: 'ENCODER_FAILED',
    message: /built without the filter drawtext/,
  });
  await rm(join(wrapped, 'no-filter'));
  await writeFile(join(wrapped, 'no-font'), '');
  await t.rejects(color(clips, '#000000', 'x'), {
    code: 'ENCODER_FAILED',
    message: /finds no font.*fonts-dejavu-core.*family Sans/,
  });
  t.equal(await starts(), 0, 'nothing was encoded');
  await rm(join(wrapped, 'no-font'));
  t.equal((await color(clips, '#000000', 'x')).frames.length, 5, 'a font was installed meanwhile');
});

t.test('callers at the same time share one encoder, and later ones its clip', async (t) => {
  const before = await starts();
  const [first, ...others] = await Promise.all(Array.from({ length: 10 }, () => color(clips, '#123456')));
  t.ok(others.every((clip) => clip === first));
  t.equal(await color(clips, '#123456'), first);
  t.equal((await starts()) - before, 1);
});

t.test('odd formats are made possible', async (t) => {
  for (const format of [
    { width: 65, height: 49, fps: 29.97, keyFrameIntervalMs: 2000 },
    { width: 64, height: 48, fps: Number.NaN, keyFrameIntervalMs: 1 },
    { width: 1, height: 1, fps: 1000, keyFrameIntervalMs: 100 },
  ]) {
    const { frames } = await clips.clip({ source: 'color', color: '#000000' }, format);
    t.ok(frames.length >= 2, 'never two key frames in a row');
    t.ok(frames[0]!.keyFrame);
  }
});

t.test('two encoders at a time; closing ends them', async (t) => {
  await writeFile(join(wrapped, 'hang'), '');
  const others = new StandbyClips({ directory: wrapped, logger: silentLogger });
  const before = await starts();
  const wanted = ['#100000', '#200000', '#300000', '#400000'].map((value) => color(others, value));
  const errors = Promise.all(wanted.map((clip) => clip.catch((error: unknown) => error)));
  await waitFor('two encoders', async () => (await starts()) - before === 2);
  await waitFor('both hang', () => childrenOf(process.pid).filter(({ args }) => args.includes('sleep')).length === 2);
  await others.close();
  for (const error of await errors) t.match(error, { code: 'SHUTTING_DOWN' });
  t.equal((await starts()) - before, 2);
  t.strictSame(childrenOf(process.pid), []);
});

t.test('an ffmpeg that cannot be started is not the fault of a file', async (t) => {
  await rm(join(wrapped, 'ffmpeg'));
  await t.rejects(color(clips, '#654321'), { code: 'ENCODER_FAILED', message: /could not be started/ });
});
