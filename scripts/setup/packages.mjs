import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { runStep, SetupError } from './progress.mjs';

/**
 * Major versions of Node that the test suite has passed on. They run TypeScript by stripping the types, unless they were built without that as Debian's
 * is, and what the code takes from Node without its promise (src/runtime/pipe.ts) is as it expects it: neither older versions nor, for all we know, later ones do.
 */
const NODE_MAJORS = [24, 26];

/**
 * Installs the npm packages unless what is installed is what package-lock.json asks for.
 *
 * @param {string} root the repository
 * @param {'start' | 'test' | 'image'} purpose only `test` needs the development packages, but for the Node runtime where the running one will not do
 */
export async function ensurePackages(root, purpose) {
  if (packagesInstalled(root, purpose)) return;
  await runStep('installing npm packages', {
    about: 'about a minute, once',
    command: 'npm',
    // The Node runtime is a development package, so NODE_ENV=production must not leave it out.
    args: ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'],
    cwd: root,
    // mediasoup's own postinstall would fetch or build a worker into node_modules and fail the installation where it
    // cannot; with this variable it does nothing, and worker.mjs sees to the worker.
    env: { ...process.env, MEDIASOUP_WORKER_BIN: process.env.MEDIASOUP_WORKER_BIN || 'see scripts/setup/worker.mjs' },
  });
  if (!packagesInstalled(root, purpose)) {
    throw new SetupError(
      'npm ci has finished, but packages are still missing: are install scripts switched off (npm config get ignore-scripts)?',
    );
  }
}

/** The Node to run the code with: the running one if it is known to do, else the pinned one from npm. */
export function nodeRuntime(root) {
  return isKnownToDo() ? process.execPath : pinnedNode(root);
}

function isKnownToDo() {
  return Boolean(process.features.typescript) && NODE_MAJORS.includes(Number(process.versions.node.split('.')[0]));
}

function pinnedNode(root) {
  return path.join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

/** Compares package-lock.json with npm's own record of what lies in node_modules: right also after an `npm install` by hand. */
function packagesInstalled(root, purpose) {
  if (!isKnownToDo() && !existsSync(pinnedNode(root))) return false;
  const wanted = readPackages(path.join(root, 'package-lock.json'));
  const installed = readPackages(path.join(root, 'node_modules', '.package-lock.json'));
  if (!wanted) throw new SetupError('package-lock.json is missing: is this a complete copy of the repository?');
  if (!installed) return false;
  return Object.entries(wanted).every(([location, entry]) => {
    if (location === '') return true;
    const found = installed[location];
    // Packages for other platforms are left out by npm, development packages by an `npm ci --omit=dev`.
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
