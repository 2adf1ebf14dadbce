import { cacheFolder } from './cache.mjs';
import { OPUS_TO_AAC_BUILD_PACKAGES, opusToAacIsReady } from './opus-to-aac.mjs';
import { isInstalledPackage, packagesInstalled } from './packages.mjs';
import { missingDebianPackages, missingPrograms, WORKER_BUILD_PACKAGES } from './system.mjs';
import { workerBuildMinutes, workerIsReady } from './worker.mjs';

/** Removed from the arguments of `npm start` and `npm test`: list what is missing instead of installing it. */
const NO_INSTALL = '--no-install';

/**
 * @param {string[]} args
 * @returns {{ install: boolean, args: string[] }} the arguments without the one that is meant for the set-up
 */
export function readInstallOption(args) {
  return { install: !args.includes(NO_INSTALL), args: args.filter((arg) => arg !== NO_INSTALL) };
}

/**
 * Lists what the set-up would install, fetch or build. It changes nothing.
 *
 * @param {string} root the repository
 * @param {'start' | 'test' | 'image'} purpose
 * @returns {string[]} one line each; empty when nothing is missing
 */
export function plan(root, purpose) {
  const lines = [];
  if (!packagesInstalled(root, purpose) && isInstalledPackage(root))
    lines.push(`Node, because this is ${process.version}, into ${cacheFolder()}: a download of about 40 MB`);
  else if (!packagesInstalled(root, purpose))
    lines.push('npm packages of package-lock.json, into node_modules: about a minute');
  const programs = missingPrograms(purpose);
  if (programs.length > 0) lines.push(`Debian packages (apt-get): ${programs.join(', ')}: about a minute`);
  if (!workerIsReady(root))
    lines.push(
      `mediasoup's worker, into ${cacheFolder()}: a download of 5 to 10 MB. If that fails it is built from source: about ${workerBuildMinutes()} minutes${withPackages(WORKER_BUILD_PACKAGES)}`,
    );
  if (!opusToAacIsReady(root))
    lines.push(
      `the audio encoder, into ${cacheFolder()}: built from native/ in some seconds${withPackages(OPUS_TO_AAC_BUILD_PACKAGES)}. To go without it: OPUS_TO_AAC_BIN=`,
    );
  return lines;
}

function withPackages(names) {
  const missing = missingDebianPackages(names);
  return missing.length > 0 ? `, with the Debian packages ${missing.join(', ')}` : '';
}
