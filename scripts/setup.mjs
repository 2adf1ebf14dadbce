// Gets what the project needs onto this machine, and does next to nothing where it is there already. docs/setup.md tells the rest.
// Usage: node scripts/setup.mjs --for start|test|image    (npm start, npm test and the Dockerfile call it by themselves)
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureOpusToAac } from './setup/opus-to-aac.mjs';
import { ensurePackages, nodeRuntime } from './setup/packages.mjs';
import { say, SetupError } from './setup/progress.mjs';
import { ensurePrograms, SEARCH_PATH } from './setup/system.mjs';
import { ensureWorker } from './setup/worker.mjs';

/** The repository. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What one may set up for. An image gets its programs from its Dockerfile, and needs the packages and what is built only. */
const PURPOSES = ['start', 'test', 'image'];

/**
 * @param {'start' | 'test' | 'image'} purpose
 * @returns {Promise<{ node: string, env: NodeJS.ProcessEnv }>} the Node to run TypeScript with, and its environment
 */
export async function setUp(purpose) {
  await ensurePackages(ROOT, purpose);
  await ensurePrograms(purpose);
  const node = nodeRuntime(ROOT);
  const worker = await ensureWorker(ROOT, node);
  const opusToAac = await ensureOpusToAac(ROOT);
  // Whatever is started from here finds the same Node, and programs such as nginx that an ordinary user's PATH lacks.
  const searchPath = [path.dirname(node), ...SEARCH_PATH].join(path.delimiter);
  return { node, env: { ...process.env, PATH: searchPath, MEDIASOUP_WORKER_BIN: worker, OPUS_TO_AAC_BIN: opusToAac } };
}

/** As `setUp`, but a set-up that cannot go on says what to do and ends the process with code 1. */
export async function setUpOrExit(purpose) {
  try {
    return await setUp(purpose);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    process.exit(1);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const purpose = process.argv[2] === '--for' ? process.argv[3] : undefined;
  if (!PURPOSES.includes(purpose)) {
    console.error(`Usage: node scripts/setup.mjs --for ${PURPOSES.join('|')}`);
    process.exit(2);
  }
  const { node, env } = await setUpOrExit(purpose);
  say(
    `everything is there. Node: ${node}, mediasoup's worker: ${env.MEDIASOUP_WORKER_BIN}, audio encoder: ${env.OPUS_TO_AAC_BIN || 'ffmpeg'}`,
  );
}
