import { spawn } from 'node:child_process';
import os from 'node:os';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** One Ctrl-C arrives twice within milliseconds: from the terminal and from npm. */
const SAME_KEY_PRESS_MS = 400;

const LIFELINE = new URL('lifeline.mjs', import.meta.url).href;

/**
 * Runs a script as a child process: signals are forwarded, once each. When this process ends, even by SIGKILL, the
 * script gets SIGTERM.
 *
 * @param {string} node the Node to run it with
 * @param {string[]} args the script and its arguments
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<number>} the exit code, or 128 + the number of the signal that ended it
 */
export async function runNode(node, args, env) {
  // A process group of its own: the terminal's Ctrl-C reaches only this process, which forwards it.
  const child = spawn(node, ['--import', LIFELINE, ...args], {
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
  });
  let passedAt = -Infinity;
  const pass = (signal) => {
    const now = performance.now();
    if (now - passedAt < SAME_KEY_PRESS_MS) return;
    passedAt = now;
    child.kill(signal);
  };
  for (const signal of FORWARDED) process.on(signal, pass);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(code ?? 128 + os.constants.signals[signal]));
    });
  } finally {
    for (const signal of FORWARDED) process.removeListener(signal, pass);
  }
}
