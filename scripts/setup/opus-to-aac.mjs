import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { cacheFolder, isExecutable } from './cache.mjs';
import { runStep, say, SetupError } from './progress.mjs';
import { ensureDebianPackages, succeeds } from './system.mjs';

/** Debian packages that building it takes; what it is linked against comes with ffmpeg. */
const BUILD_PACKAGES = ['gcc', 'libc6-dev', 'libavcodec-dev', 'libavutil-dev'];

/**
 * Finds the encoder that serves several streams in the machine's cache, or builds it there from native/. Nothing depends on it: without it
 * each stream's sound has an ffmpeg.
 *
 * @param {string} root the repository
 * @returns {Promise<string>} the path for OPUS_TO_AAC_BIN; empty where it cannot be built
 */
export async function ensureOpusToAac(root) {
  const given = process.env.OPUS_TO_AAC_BIN;
  if (given !== undefined) {
    if (given !== '' && !isExecutable(given))
      throw new SetupError(`OPUS_TO_AAC_BIN is set, but there is no program at ${given}`);
    return given;
  }
  const folder = path.join(root, 'native');
  const sources = readdirSync(folder)
    .sort()
    .map((name) => path.join(folder, name));
  const hash = createHash('sha256');
  for (const source of sources) hash.update(readFileSync(source));
  const version = hash.digest('hex').slice(0, 12);
  const cached = path.join(cacheFolder(), `opus-to-aac-${version}-${os.platform()}-${os.arch()}`);
  // Its libraries may have gone with an update of the system.
  if (runs(cached)) return cached;

  const candidate = `${cached}.candidate-${process.pid}`;
  const compile = {
    command: 'cc',
    args: [
      '-O3',
      '-fno-math-errno',
      '-o',
      candidate,
      ...sources.filter((source) => source.endsWith('.c')),
      '-lavcodec',
      '-lavutil',
      '-lm',
    ],
  };
  try {
    mkdirSync(path.dirname(cached), { recursive: true });
    process.once('exit', () => rmSync(candidate, { force: true }));
    // What it takes may be there by names that are not Debian's.
    if (!succeeds(compile.command, compile.args)) {
      await ensureDebianPackages(BUILD_PACKAGES, 'about half a minute');
      await runStep('building the audio encoder', { about: 'some seconds, once per machine', ...compile });
    }
    if (!runs(candidate)) throw new SetupError('the audio encoder was built, but does not run');
    renameSync(candidate, cached);
    return cached;
  } catch (error) {
    // A folder that must not be written to is no reason not to start, either.
    if (!(error instanceof SetupError) && error.syscall === undefined) throw error;
    say(
      `${error.message}\nsetup: going on without the audio encoder that streams share: each has an ffmpeg, which takes more memory`,
    );
    return '';
  }
}

/** Without input it has nothing to do, and ends with code 0. */
function runs(program) {
  return isExecutable(program) && succeeds(program, []);
}
