import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ffmpeg from 'fluent-ffmpeg';
import { GatewayError } from '../errors.ts';

/** From this version on `-fps_mode` is there; `-vsync`, which it replaces, is gone in 9.0. */
const FPS_MODE_SINCE = 5.1;

let version = 'unknown';
let hasFpsMode = true;

/**
 * Checks once that ffmpeg is there and does what it is needed for, and lets fluent-ffmpeg ask it for its abilities, which takes a while the first time.
 *
 * @param pushes whether ffmpeg is to push to RTMP servers too
 * @throws {GatewayError} SETUP_INCOMPLETE
 */
export async function checkFfmpeg({ pushes }: { readonly pushes: boolean }): Promise<void> {
  try {
    await promisify((done: (error: Error | null) => void) =>
      ffmpeg().availableFormats((error) => done(error as Error | null)),
    )();
    await promisify((done: (error: Error | null) => void) =>
      ffmpeg().availableEncoders((error) => done(error as Error | null)),
    )();
    const { stdout } = await run(['-version']);
    version = /^ffmpeg version (\S+)/.exec(stdout)?.[1] ?? 'unknown';
    // A build from between two releases has no such number, and is taken for a new one.
    hasFpsMode = !(Number(/^n?(\d+\.\d+)/.exec(version)?.[1]) < FPS_MODE_SINCE);
  } catch (error) {
    throw new GatewayError(
      'SETUP_INCOMPLETE',
      'ffmpeg was not found. Install it (Debian: apt-get install ffmpeg) or set FFMPEG_PATH.',
      { cause: error },
    );
  }
  if (pushes && !(await obeysPresets())) {
    throw new GatewayError(
      'SETUP_INCOMPLETE',
      `push_engine=ffmpeg: ffmpeg ${version} ignores what stands in a preset file, and among its arguments everybody could read the stream key. ` +
        'Set push_engine=rtmp, or set FFMPEG_PATH to an ffmpeg before 9.0.',
    );
  }
}

/** The options as the installed ffmpeg calls them. */
export function adaptOptions(options: readonly string[]): string[] {
  return options.map((option) => (option === '-fps_mode' && !hasFpsMode ? '-vsync' : option));
}

/** FFmpeg 9.0 reads `-fpre` and forgets it. Obeyed, this one ends in an error. */
async function obeysPresets(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'webrtc-transponder-'));
  try {
    const preset = join(folder, 'wrong.ffpreset');
    await writeFile(preset, 'avoid_negative_ts=nonsense\n');
    const made = await run([
      '-loglevel',
      'quiet',
      '-nostdin',
      '-f',
      's16le',
      '-t',
      '0.1',
      '-i',
      'file:/dev/zero',
      '-fpre',
      preset,
      '-f',
      'null',
      '-',
    ]).catch(() => undefined);
    return made === undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function run(args: readonly string[]): Promise<{ stdout: string }> {
  return promisify(execFile)(process.env['FFMPEG_PATH'] || 'ffmpeg', args);
}
