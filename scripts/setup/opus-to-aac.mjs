import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { cacheFolder, isExecutable } from './cache.mjs';
import { runStep, say, SetupError } from './progress.mjs';
import { ensureDebianPackages, succeeds } from './system.mjs';

/** Debian packages that are needed to build it. The libraries that it is linked with come with ffmpeg. */
export const OPUS_TO_AAC_BUILD_PACKAGES = ['gcc', 'libc6-dev', 'libavcodec-dev', 'libavutil-dev'];

/**
 * Finds the audio encoder that several streams share in the machine's cache, or builds it there from native/. It is optional: without it
 * the audio of each stream is encoded by an ffmpeg.
 *
 * @param {string} root the repository
 * @returns {Promise<string>} the path for OPUS_TO_AAC_BIN; empty if it cannot be built
 */
export async function ensureOpusToAac(root) {
  const given = process.env.OPUS_TO_AAC_BIN;
  if (given !== undefined) {
    if (given !== '' && !isExecutable(given))
      throw new SetupError(`OPUS_TO_AAC_BIN is set, but there is no program at ${given}`);
    return given;
  }
  const { sources, cached } = locate(root);
  // An update of the system may have removed its libraries.
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
    // A compiler and the libraries may be installed under names that are not Debian's.
    if (!succeeds(compile.command, compile.args)) {
      await ensureDebianPackages(OPUS_TO_AAC_BUILD_PACKAGES, 'about half a minute');
      await runStep('building the audio encoder', { about: 'some seconds, once per machine', ...compile });
    }
    if (!runs(candidate)) throw new SetupError('the audio encoder was built, but does not run');
    renameSync(candidate, cached);
    return cached;
  } catch (error) {
    // A folder that is not writable does not prevent the start, either.
    if (!(error instanceof SetupError) && error.syscall === undefined) throw error;
    say(
      `${error.message}\nsetup: continuing without the shared audio encoder: each stream uses an ffmpeg, which takes more memory`,
    );
    return '';
  }
}

/** Whether the audio encoder is available, or was set to none. @param {string} root the repository */
export function opusToAacIsReady(root) {
  return process.env.OPUS_TO_AAC_BIN !== undefined || runs(locate(root).cached);
}

/** Its sources and its place in the cache, whose name has a hash of the sources. */
function locate(root) {
  const folder = path.join(root, 'native');
  const sources = readdirSync(folder)
    .sort()
    .map((name) => path.join(folder, name));
  const hash = createHash('sha256');
  for (const source of sources) hash.update(readFileSync(source));
  const version = hash.digest('hex').slice(0, 12);
  return { sources, cached: path.join(cacheFolder(), `opus-to-aac-${version}-${os.platform()}-${os.arch()}`) };
}

/** Without input it ends at once with code 0. */
function runs(program) {
  return isExecutable(program) && succeeds(program, []);
}
