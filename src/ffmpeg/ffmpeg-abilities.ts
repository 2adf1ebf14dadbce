import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ffmpeg from 'fluent-ffmpeg';
import { GatewayError } from '../errors.ts';
import { TEXT_FONT, type PictureCodec, type PictureEncoder } from './ffmpeg-standby-args.ts';

/** The first version with `-fps_mode`. It replaces `-vsync`, which 9.0 no longer has. */
const FPS_MODE_SINCE = 5.1;

let version = 'unknown';
let hasFpsMode = true;

/**
 * Checks once that ffmpeg is installed and has the required features, and lets fluent-ffmpeg query its capabilities,
 * which is slow the first time.
 *
 * @param pushes whether ffmpeg also pushes to RTMP servers
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
    // Builds between two releases have no version number and count as new.
    hasFpsMode = !(Number(/^n?(\d+\.\d+)/.exec(version)?.[1]) < FPS_MODE_SINCE);
  } catch (error) {
    throw new GatewayError(
      'SETUP_INCOMPLETE',
      'ffmpeg was not found. Install it (Debian: apt-get install ffmpeg) or set FFMPEG_PATH.',
      { cause: error },
    );
  }
  if (pushes && !(await appliesPresets())) {
    throw new GatewayError(
      'SETUP_INCOMPLETE',
      `push_engine=ffmpeg: ffmpeg ${version} ignores preset files, and every user of the machine could read a ` +
        'stream key in its arguments. ' +
        'Set push_engine=rtmp, or set FFMPEG_PATH to an ffmpeg before 9.0.',
    );
  }
}

/** Encoders of each codec, the best one for standby pictures first. */
const PICTURE_ENCODERS = {
  vp8: ['libvpx'],
  vp9: ['libvpx-vp9'],
  av1: ['libaom-av1', 'libsvtav1'],
} as const satisfies Record<PictureCodec, readonly PictureEncoder[]>;

let pictureEncoders: Promise<ReadonlyMap<PictureCodec, PictureEncoder>> | undefined;

/** The encoders for standby pictures in other codecs than H.264 that ffmpeg has. Asked once. */
export function findPictureEncoders(): Promise<ReadonlyMap<PictureCodec, PictureEncoder>> {
  pictureEncoders ??= readPictureEncoders().catch((error: unknown) => {
    pictureEncoders = undefined;
    throw error;
  });
  return pictureEncoders;
}

async function readPictureEncoders(): Promise<ReadonlyMap<PictureCodec, PictureEncoder>> {
  const { stdout } = await run(['-hide_banner', '-encoders']);
  const installed = new Set([...stdout.matchAll(/^ V\S+ (\S+)/gm)].map(([, name]) => name));
  const found = Object.entries(PICTURE_ENCODERS).map(
    ([codec, names]) => [codec as PictureCodec, names.find((name) => installed.has(name))] as const,
  );
  return new Map(found.filter((entry): entry is [PictureCodec, PictureEncoder] => entry[1] !== undefined));
}

let textCheck: Promise<void> | undefined;

/**
 * Checks, until it succeeds once, that ffmpeg can draw text: it has the filter, and there is a font.
 *
 * @throws {GatewayError} ENCODER_FAILED
 */
export function checkText(): Promise<void> {
  textCheck ??= drawLetter().catch((error: unknown) => {
    textCheck = undefined;
    throw error;
  });
  return textCheck;
}

async function drawLetter(): Promise<void> {
  const input = ['-f', 'rawvideo', '-pixel_format', 'rgb24', '-video_size', '32x32', '-i', 'file:/dev/zero'];
  const output = ['-vf', `drawtext=font=${TEXT_FONT}:text=x`, '-frames:v', '1', '-f', 'null', '-'];
  try {
    await run(['-hide_banner', '-loglevel', 'error', '-nostdin', ...input, ...output]);
  } catch (cause) {
    const log = String((cause as { stderr?: unknown }).stderr ?? '');
    throw new GatewayError(
      'ENCODER_FAILED',
      /no such filter/i.test(log)
        ? 'Text cannot be drawn: ffmpeg was built without the filter drawtext. Install another one (Debian: ' +
            'apt-get install ffmpeg), or leave out the text.'
        : 'Text cannot be drawn: ffmpeg finds no font. Install one (Debian: apt-get install fontconfig ' +
            `fonts-dejavu-core), or leave out the text. ${log.trim().split('\n').at(-1)}`,
      { cause },
    );
  }
}

/** Renames options to the names that the installed ffmpeg knows. */
export function adaptOptions(options: readonly string[]): string[] {
  return options.map((option) => (option === '-fps_mode' && !hasFpsMode ? '-vsync' : option));
}

/**
 * Whether preset files take effect: FFmpeg 9.0 reads `-fpre` and ignores it. This preset causes an error if it is
 * applied.
 */
async function appliesPresets(): Promise<boolean> {
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
