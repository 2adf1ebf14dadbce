// Installs and builds what the project needs on this machine, unless it is there: docs/setup.md.
// Usage: node scripts/setup.mjs --for start|test|cluster|image [--no-install]    (npm start, npm test and the Dockerfile call it)
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureOpusToAac } from './setup/opus-to-aac.mjs';
import { ensurePackages, isInstalledPackage, nodeRuntime } from './setup/packages.mjs';
import { plan, readInstallOption } from './setup/plan.mjs';
import { say, SetupError } from './setup/progress.mjs';
import { ensurePrograms, SEARCH_PATH } from './setup/system.mjs';
import { ensureWorker } from './setup/worker.mjs';

/** The repository. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

const STRIP_TYPES = new URL('setup/strip-types.mjs', import.meta.url).href;

/** Purposes of a set-up. An image gets its programs from the Dockerfile: it needs only the npm packages and what is built. */
const PURPOSES = ['start', 'test', 'cluster', 'image'];

/**
 * Lists what is missing, then installs it.
 *
 * @param {'start' | 'test' | 'cluster' | 'image'} purpose
 * @param {{ install?: boolean }} [options] `install: false`: fail with the list instead
 * @returns {Promise<{ node: string, nodeArgs: string[], env: NodeJS.ProcessEnv }>} the Node to run TypeScript with, its options and environment
 * @throws {SetupError}
 */
export async function setUp(purpose, { install = true } = {}) {
  announce(plan(ROOT, purpose), install);
  await ensurePackages(ROOT, purpose);
  await ensurePrograms(purpose, install);
  const node = nodeRuntime(ROOT);
  const worker = await ensureWorker(ROOT, node, install);
  const opusToAac = await ensureOpusToAac(ROOT);
  // Child processes find the same Node, and programs such as nginx that are not in an ordinary user's PATH.
  const searchPath = [path.dirname(node), ...SEARCH_PATH].join(path.delimiter);
  const nodeArgs = isInstalledPackage(ROOT) ? ['--import', STRIP_TYPES] : [];
  return {
    node,
    nodeArgs,
    env: { ...process.env, PATH: searchPath, MEDIASOUP_WORKER_BIN: worker, OPUS_TO_AAC_BIN: opusToAac },
  };
}

/** @param {string[]} missing @param {boolean} install */
function announce(missing, install) {
  if (missing.length === 0) return;
  const list = missing.map((line) => `  - ${line}`).join('\n');
  if (!install)
    throw new SetupError(`these are missing:\n${list}\nNothing was changed. Without --no-install they are installed.`);
  say(`about to install what is missing (--no-install: only list it):\n${list}`);
}

/** Like `setUp`, but if the set-up cannot continue it says what to do and ends the process with code 1. */
export async function setUpOrExit(purpose, options) {
  try {
    return await setUp(purpose, options);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    process.exit(1);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { install, args } = readInstallOption(process.argv.slice(2));
  const [option, purpose] = args;
  if (option !== '--for' || !PURPOSES.includes(purpose) || args.length !== 2) {
    console.error(`Usage: node scripts/setup.mjs --for ${PURPOSES.join('|')} [--no-install]`);
    process.exit(2);
  }
  const { node, env } = await setUpOrExit(purpose, { install });
  say(
    `everything is there. Node: ${node}, mediasoup's worker: ${env.MEDIASOUP_WORKER_BIN}, audio encoder: ${env.OPUS_TO_AAC_BIN || 'ffmpeg'}`,
  );
}
