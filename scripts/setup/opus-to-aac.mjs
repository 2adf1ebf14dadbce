import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { cacheFolder, isExecutable } from './cache.mjs';
import { runStep, say, SetupError } from './progress.mjs';
import { ensureDebianPackages, succeeds } from './system.mjs';

/** Debian packages needed to build it; the shared libraries come with ffmpeg. */
const BUILD_PACKAGES = ['gcc', 'libc6-dev', 'libavcodec-dev', 'libavutil-dev'];

/**
 * Finds the shared audio encoder in the machine's cache, or builds it there from native/. Its name holds a hash of the sources, so that a change of them builds it
 * again. It is optional: without it each stream has an ffmpeg for its audio.
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
    // The needed files may be installed by other packages than Debian's.
    if (!succeeds(compile.command, compile.args)) {
      await ensureDebianPackages(BUILD_PACKAGES, 'about half a minute');
      await runStep('building the audio encoder', { about: 'some seconds, once per machine', ...compile });
    }
    if (!runs(candidate)) throw new SetupError('the audio encoder was built, but does not run');
    renameSync(candidate, cached);
    return cached;
  } catch (error) {
    // A folder that is not writable does not prevent the start.
    if (!(error instanceof SetupError) && error.syscall === undefined) throw error;
    say(
      `${error.message}\nsetup: going on without the shared audio encoder: each stream gets an ffmpeg, which takes more memory`,
    );
    return '';
  }
}

/** Without input it ends with code 0. */
function runs(program) {
  return isExecutable(program) && succeeds(program, []);
}
