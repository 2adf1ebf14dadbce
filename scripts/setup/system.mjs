import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { isExecutable } from './cache.mjs';
import { runStep, say, SetupError } from './progress.mjs';

/** Folders that are searched for programs. The PATH of an ordinary user often lacks those that hold nginx. */
export const SEARCH_PATH = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin'];

const NGINX_RTMP_MODULES = ['/usr/lib/nginx/modules/ngx_rtmp_module.so', '/usr/share/nginx/modules/ngx_rtmp_module.so'];

/** Programs that are needed from the system, how they are detected, and their Debian packages. */
const NEEDS = [
  {
    purposes: ['start', 'test', 'cluster'],
    package: 'ffmpeg',
    present: () => Boolean(process.env.FFMPEG_PATH || findProgram('ffmpeg')),
  },
  {
    purposes: ['test'],
    package: 'chromium',
    present: () =>
      Boolean(process.env.CHROMIUM_BIN) ||
      ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'].some((name) => findProgram(name)),
  },
  { purposes: ['test'], package: 'nginx', present: () => Boolean(findProgram('nginx')) },
  {
    purposes: ['test'],
    package: 'libnginx-mod-rtmp',
    present: () => NGINX_RTMP_MODULES.some((file) => existsSync(file)),
  },
  { purposes: ['test', 'cluster'], package: 'redis-server', present: () => Boolean(findProgram('redis-server')) },
  { purposes: ['test'], package: 'openssl', present: () => Boolean(findProgram('openssl')) },
  // Telephones, a proxy and a generator of scenarios for the tests of calls.
  ...[
    ['baresip-core', 'baresip'],
    ['kamailio', 'kamailio'],
    ['sip-tester', 'sipp'],
  ].map(([name, program]) => ({ purposes: ['test'], package: name, present: () => Boolean(findProgram(program)) })),
  {
    purposes: ['test'],
    package: 'kamailio-tls-modules',
    present: () => ['x86_64', 'aarch64'].some((cpu) => existsSync(`/usr/lib/${cpu}-linux-gnu/kamailio/modules/tls.so`)),
  },
  {
    purposes: ['test'],
    package: 'baresip-ffmpeg',
    present: () => existsSync('/usr/lib/baresip/modules/avcodec.so'),
  },
  // An S3 server for the tests. The library alone: the packages of its servers would start services.
  { purposes: ['test'], package: 'python3-swift', present: () => existsSync('/usr/lib/python3/dist-packages/swift') },
];

/** Debian packages without which some tests are skipped. Not every release of Debian has them. */
const OPTIONAL = [
  // A second telephone.
  { purposes: ['test'], package: 'linphone-cli', present: () => Boolean(findProgram('linphonec')) },
  {
    purposes: ['test'],
    package: 'mediastreamer2-plugin-openh264',
    present: () =>
      ['x86_64', 'aarch64'].some((cpu) =>
        existsSync(`/usr/lib/${cpu}-linux-gnu/mediastreamer/plugins/libmsopenh264.so`),
      ),
  },
];

/** Packages that come with a service of their name. */
const SERVICES = new Set(['nginx', 'redis-server', 'kamailio']);

/** Debian packages that are needed to build mediasoup's worker. They include the libraries that it is linked with. */
export const WORKER_BUILD_PACKAGES = [
  'meson',
  'ninja-build',
  'g++',
  'pkg-config',
  'dpkg-dev',
  'libuv1-dev',
  'libssl-dev',
  'libsrtp2-dev',
  'libflatbuffers-dev',
  'flatbuffers-compiler',
];

/**
 * Installs the programs that are missing.
 *
 * @param {'start' | 'test' | 'cluster' | 'image'} purpose
 * @param {boolean} optional also those without which only tests are skipped; if that fails, the set-up goes on
 */
export async function ensurePrograms(purpose, optional) {
  const missing = missingPrograms(purpose);
  await installDebianPackages(missing, missing.includes('chromium') ? 'about a minute' : 'about half a minute');
  if (!optional) return;
  // After the others, whose installation fetches the package lists.
  const offered = absent(OPTIONAL, purpose).filter((name) => succeeds('apt-cache', ['show', name]));
  try {
    await installDebianPackages(offered, 'about half a minute');
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`${error.message}\nTests that need ${offered.join(' or ')} are skipped.`);
  }
}

/** The Debian packages of the programs that are missing. @param {'start' | 'test' | 'cluster' | 'image'} purpose */
export const missingPrograms = (purpose) => absent(NEEDS, purpose);

const absent = (needs, purpose) =>
  needs.filter((need) => need.purposes.includes(purpose) && !need.present()).map((need) => need.package);

/** Those of the Debian packages that dpkg does not report as installed. */
export function missingDebianPackages(names) {
  return aptAvailable() ? names.filter((name) => !debianPackageInstalled(name)) : names;
}

/** Installs those of the Debian packages that are missing. */
export async function ensureDebianPackages(names, about) {
  await installDebianPackages(missingDebianPackages(names), about);
}

/**
 * @param {string[]} names
 * @throws {SetupError} with the command to type, if packages cannot be installed from here
 */
async function installDebianPackages(names, about) {
  if (names.length === 0) return;
  const prefix = process.getuid?.() === 0 ? [] : passwordlessSudo() ? ['sudo', '-n'] : undefined;
  if (!aptAvailable() || !prefix) {
    throw new SetupError(
      `missing: ${names.join(', ')}. Type: sudo apt-get install -y ${names.join(' ')} (or the equivalent of this system), then run this again.`,
    );
  }
  // Only the programs are needed: their services, on fixed ports, are neither started nor enabled.
  const services = existsSync('/run/systemd/system') ? names.filter((name) => SERVICES.has(name)) : [];
  const units = services.map((name) => `${name}.service`).join(' ');
  const keepServiceOff = units ? `systemctl mask --quiet ${units}; ` : '';
  const restoreService = units
    ? `; code=$?; systemctl unmask --quiet ${units}; systemctl disable --quiet ${units}; exit $code`
    : '';
  const install = `DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 ${names.join(' ')}`;
  // An update that fails does not stop the installation: old package lists may be sufficient.
  const script = `${keepServiceOff}apt-get update -qq; ${install}${restoreService}`;
  const [command, ...args] = [...prefix, 'sh', '-c', script];
  await runStep(`installing Debian packages (${names.join(', ')})`, {
    about: `${about}, once per machine`,
    command,
    args,
  });
}

function aptAvailable() {
  return Boolean(findProgram('apt-get'));
}

function passwordlessSudo() {
  return succeeds('sudo', ['-n', 'true']);
}

function debianPackageInstalled(name) {
  try {
    const status = execFileSync('dpkg-query', ['--show', '--showformat=$' + '{db:Status-Status}', name], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return status.toString() === 'installed';
  } catch {
    return false;
  }
}

/** Whether a command without input ends with code 0. */
export function succeeds(command, args) {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function findProgram(name) {
  return SEARCH_PATH.map((folder) => path.join(folder, name)).find(isExecutable);
}
