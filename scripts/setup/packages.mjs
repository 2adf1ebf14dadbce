import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { cacheFolder } from './cache.mjs';
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
  if (isInstalledPackage(root)) return fetchNode(root);
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

/** Whether this copy was installed from npm as a package, which has its dependencies already. @param {string} root */
export const isInstalledPackage = (root) => root.split(path.sep).includes('node_modules');

/** The folder of a dependency. @param {string} root @param {string} name */
export function packageFolder(root, name) {
  for (let folder = root; ; folder = path.dirname(folder)) {
    const found = path.join(folder, 'node_modules', name);
    if (existsSync(found)) return found;
    if (folder === path.dirname(folder)) throw new SetupError(`the package ${name} is not installed`);
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
  const program = path.join('bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (!isInstalledPackage(root)) return path.join(root, 'node_modules', 'node', program);
  const { folder, name } = fetchedNode(root);
  return path.join(folder, 'node_modules', name, program);
}

/** Where an installed package keeps the pinned Node: its development packages are not installed. */
function fetchedNode(root) {
  const version = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).devDependencies.node;
  return {
    version,
    name: `node-${process.platform}-${process.arch}`,
    folder: path.join(cacheFolder(), `node-${version}`),
  };
}

async function fetchNode(root) {
  const { folder, name, version } = fetchedNode(root);
  mkdirSync(folder, { recursive: true });
  await runStep(`fetching Node ${version}, because this is ${process.version}`, {
    about: 'some seconds, once',
    command: 'npm',
    args: ['install', '--prefix', folder, '--no-audit', '--no-fund', '--loglevel=error', `${name}@${version}`],
  });
}

/** Compares package-lock.json with npm's own record of node_modules, so that an `npm install` by hand counts, too. */
export function packagesInstalled(root, purpose) {
  if (!isSuitable() && !existsSync(pinnedNode(root))) return false;
  if (isInstalledPackage(root)) return true;
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
