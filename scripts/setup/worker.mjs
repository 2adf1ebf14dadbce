import { execFile } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder, isExecutable } from './cache.mjs';
import { packageFolder } from './packages.mjs';
import { runStep, say, SetupError } from './progress.mjs';
import { ensureDebianPackages, WORKER_BUILD_PACKAGES } from './system.mjs';

const run = promisify(execFile);
const BUILD_SCRIPT = fileURLToPath(new URL('../mediasoup-worker/build.sh', import.meta.url));
const PROVE_SCRIPT = fileURLToPath(new URL('prove-worker.mjs', import.meta.url));

/** The prebuilt worker has 5 to 10 MB. */
const DOWNLOAD_TIMEOUT_MS = 60_000;

/** The handshake takes milliseconds, the start of Node and of two workers on a busy machine some seconds. */
const PROOF_TIMEOUT_MS = 30_000;

/**
 * Finds mediasoup's worker in the machine's cache, or puts it there: the prebuilt binary if it can be fetched, else one built
 * from the sources in the npm package. Before a worker is used for the first time it must complete a DTLS handshake.
 *
 * @param {string} root the repository
 * @param {string} node a Node that runs mediasoup
 * @param {boolean} install false: fail if it is not in the cache
 * @returns {Promise<string>} the path for MEDIASOUP_WORKER_BIN
 */
export async function ensureWorker(root, node, install) {
  const given = process.env.MEDIASOUP_WORKER_BIN;
  if (given) {
    if (!isExecutable(given)) throw new SetupError(`MEDIASOUP_WORKER_BIN is set, but there is no program at ${given}`);
    return given;
  }
  const mediasoup = packageFolder(root, 'mediasoup');
  const { version, cached } = locate(root);
  if (await cachedAndProved(node, cached)) return cached;
  if (!install) throw new SetupError('run this again without --no-install to replace the worker.');

  makeFolder(path.dirname(cached));
  const candidate = `${cached}.candidate-${process.pid}`;
  process.once('exit', () => rmSync(candidate, { force: true }));
  if (await fetchPrebuilt(version, candidate)) {
    const fault = await prove(node, candidate);
    if (fault === undefined) return keep(candidate, cached);
    say(`the prebuilt worker does not work here (${fault})`);
  }
  return buildWorker(node, mediasoup, candidate, cached);
}

/** Whether a worker is available. One in the cache may still fail its handshake. @param {string} root the repository */
export function workerIsReady(root) {
  return Boolean(process.env.MEDIASOUP_WORKER_BIN) || isExecutable(locate(root).cached);
}

/** Estimated from the number of processors. */
export function workerBuildMinutes() {
  return Math.max(1, Math.round(10 / os.availableParallelism()));
}

/** The pinned version, and its place in the cache. */
function locate(root) {
  const { dependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const version = dependencies.mediasoup;
  return { version, cached: path.join(cacheFolder(), `mediasoup-worker-${version}-${os.platform()}-${os.arch()}`) };
}

async function cachedAndProved(node, cached) {
  if (!isExecutable(cached)) return false;
  if (readProof(cached) === fingerprint(cached)) return true;
  const fault = await prove(node, cached);
  if (fault === undefined) {
    try {
      writeFileSync(proofFile(cached), fingerprint(cached));
    } catch {
      // The cache is not writable: the worker is tested at each start.
    }
    return true;
  }
  say(`the cached worker ${cached} does not work (${fault})`);
  return false;
}

function makeFolder(folder) {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new SetupError(
      `mediasoup's worker belongs into ${folder}, which is not writable (${error.code}). Set XDG_CACHE_HOME to another folder.`,
    );
  }
}

async function buildWorker(node, mediasoup, candidate, cached) {
  if (os.platform() !== 'linux') {
    throw new SetupError(
      "mediasoup's prebuilt worker cannot be fetched, and it is built from source on Linux only. Set MEDIASOUP_WORKER_BIN to a worker.",
    );
  }
  await ensureDebianPackages(WORKER_BUILD_PACKAGES, 'about a minute');
  // A worker that was built on another machine with the same home folder may have lacked only the libraries.
  if (isExecutable(cached) && (await cachedAndProved(node, cached))) return cached;
  await runStep("building mediasoup's worker", {
    about: `about ${workerBuildMinutes()} minutes, once per machine`,
    command: 'sh',
    args: [BUILD_SCRIPT, mediasoup, candidate],
    counter: /\[\d+\/\d+\]/,
  });
  const fault = await prove(node, candidate);
  if (fault !== undefined)
    throw new SetupError(`the worker was built, but does not complete a DTLS handshake: ${fault}`);
  return keep(candidate, cached);
}

/** Moves a tested worker to its place in one step, so that the cache never has an incomplete one. */
function keep(candidate, cached) {
  rmSync(proofFile(cached), { force: true });
  renameSync(candidate, cached);
  writeFileSync(proofFile(cached), fingerprint(cached));
  return cached;
}

/** Fetches the binary that mediasoup's authors publish. @returns {Promise<boolean>} false if there is none or the server cannot be reached */
async function fetchPrebuilt(version, output) {
  const base =
    process.env.MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL ||
    'https://github.com/versatica/mediasoup/releases/download';
  const kernel = os.platform() === 'linux' ? `-kernel${os.release().split('.')[0]}` : '';
  const url = `${base}/${version}/mediasoup-worker-${version}-${os.platform()}-${os.arch()}${kernel}.tgz`;
  const folder = `${output}.unpacked`;
  try {
    say("fetching mediasoup's prebuilt worker, some seconds");
    const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, 'worker.tgz'), Buffer.from(await response.arrayBuffer()));
    await run('tar', ['-xzf', 'worker.tgz', 'mediasoup-worker'], { cwd: folder });
    renameSync(path.join(folder, 'mediasoup-worker'), output);
    chmodSync(output, 0o755);
    return true;
  } catch (error) {
    say(`the prebuilt worker cannot be fetched (${error.cause?.message ?? error.message})`);
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Tests the worker by a DTLS handshake. @returns {Promise<string | undefined>} the error, if any */
async function prove(node, worker) {
  say("testing mediasoup's worker by a DTLS handshake, some seconds");
  try {
    await run(node, [PROVE_SCRIPT], {
      env: { ...process.env, MEDIASOUP_WORKER_BIN: worker },
      timeout: PROOF_TIMEOUT_MS,
    });
    return undefined;
  } catch (error) {
    return error.stderr?.trim().split('\n').at(-1) || error.message;
  }
}

/** Identifies the tested file and the release of the system, whose libraries it uses. */
function fingerprint(worker) {
  const { size, mtimeMs } = statSync(worker);
  let system = os.release();
  if (existsSync('/etc/os-release'))
    system = /^PRETTY_NAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? system;
  return `${size} bytes, ${mtimeMs}, ${system}\n`;
}

function proofFile(cached) {
  return `${cached}.proved`;
}

function readProof(cached) {
  return existsSync(proofFile(cached)) ? readFileSync(proofFile(cached), 'utf8') : undefined;
}
