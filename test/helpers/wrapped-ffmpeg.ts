import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** Lets FFMPEG_PATH be a program of the shell that does `body` before it runs the real ffmpeg. Returns its folder, which `body` calls `$FOLDER`. */
export async function wrapFfmpeg(t: Test, body: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'wrapped-ffmpeg-'));
  const program = join(folder, 'ffmpeg');
  await writeFile(program, `#!/bin/sh\nFOLDER='${folder}'\n${body}\nexec ffmpeg "$@"\n`);
  await chmod(program, 0o755);
  process.env['FFMPEG_PATH'] = program;
  t.teardown(async () => {
    delete process.env['FFMPEG_PATH'];
    await rm(folder, { recursive: true });
  });
  return folder;
}
