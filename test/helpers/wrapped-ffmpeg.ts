import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ffmpeg from 'fluent-ffmpeg';
import type { Test } from 'tap';

/** Sets FFMPEG_PATH to a shell script that runs `body` and then the real ffmpeg. Returns its folder, `$FOLDER` in `body`. */
export async function wrapFfmpeg(t: Test, body: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'wrapped-ffmpeg-'));
  const program = join(folder, 'ffmpeg');
  await writeFile(program, `#!/bin/sh\nFOLDER='${folder}'\n${body}\nexec ffmpeg "$@"\n`);
  await chmod(program, 0o755);
  const before = process.env['FFMPEG_PATH'];
  process.env['FFMPEG_PATH'] = program;
  // fluent-ffmpeg reads the variable once in a process.
  ffmpeg.setFfmpegPath(program);
  t.teardown(async () => {
    if (before === undefined) delete process.env['FFMPEG_PATH'];
    else process.env['FFMPEG_PATH'] = before;
    ffmpeg.setFfmpegPath(before || 'ffmpeg');
    await rm(folder, { recursive: true });
  });
  return folder;
}
