import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { runStep, SetupError } from './progress.mjs';

/**
 * Major versions of Node that the test suite passes on. They run TypeScript by stripping the types, unless they were built without that, as
 * Debian's is. They also have the undocumented interfaces that src/runtime uses.
 */
const NODE_MAJORS = [24, 26];

/**
 * Installs the npm packages unless the installed ones are those of package-lock.json.
 *
 * @param {string} root the repository
 * @param {'start' | 'test' | 'image'} purpose only `test` needs the development packages, except the Node runtime if the running Node is not suitable
 */
export async function ensurePackages(root, purpose) {
  if (packagesInstalled(root, purpose)) return;
  await runStep('installing npm packages', {
    about: 'about a minute, once',
    command: 'npm',
    // The Node runtime is a development package, so NODE_ENV=production must not leave it out.
    args: ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'],
    cwd: root,
    // mediasoup's postinstall script would fetch or build a worker, and fail the installation if it cannot. With this variable it
    // does nothing, and worker.mjs provides the worker.
    env: { ...process.env, MEDIASOUP_WORKER_BIN: process.env.MEDIASOUP_WORKER_BIN || 'see scripts/setup/worker.mjs' },
  });
  if (!packagesInstalled(root, purpose)) {
    throw new SetupError(
      'npm ci has finished, but packages are still missing: are install scripts switched off (npm config get ignore-scripts)?',
    );
  }
}

/** The Node to run the code with: the running one if it is suitable, else the pinned one from npm. */
export function nodeRuntime(root) {
  return isSuitable() ? process.execPath : pinnedNode(root);
}

function isSuitable() {
  return Boolean(process.features.typescript) && NODE_MAJORS.includes(Number(process.versions.node.split('.')[0]));
}

function pinnedNode(root) {
  return path.join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

/** Compares package-lock.json with npm's own record of node_modules, so that an `npm install` by hand counts, too. */
export function packagesInstalled(root, purpose) {
  if (!isSuitable() && !existsSync(pinnedNode(root))) return false;
  const wanted = readPackages(path.join(root, 'package-lock.json'));
  const installed = readPackages(path.join(root, 'node_modules', '.package-lock.json'));
  if (!wanted) throw new SetupError('package-lock.json is missing: is this a complete copy of the repository?');
  if (!installed) return false;
  return Object.entries(wanted).every(([location, entry]) => {
    if (location === '') return true;
    const found = installed[location];
    // npm omits packages for other platforms, and `npm ci --omit=dev` omits development packages.
    if (!found) return entry.optional || entry.devOptional || (entry.dev && purpose !== 'test');
    return found.version === entry.version;
  });
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}
