import { spawn } from 'node:child_process';

/** The set-up cannot continue. The message says what to do and is shown without a stack. */
export class SetupError extends Error {}

/** Lines of a command's output that are shown when it fails. */
const TAIL_LINES = 30;

/** Interval of the lines that report a long step if there is no terminal. */
const QUIET_INTERVAL_MS = 30_000;

export function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

/**
 * Runs one command of the set-up. Reports what is done, its estimated time and the time so far. The last lines of the
 * command's output are shown if it fails.
 *
 * @param {string} title what is being done, such as "installing npm packages"
 * @param {{ about: string, command: string, args: string[], env?: NodeJS.ProcessEnv, cwd?: string,
 *   counter?: RegExp }} step `counter` finds a progress count in the output, such as ninja's `[12/213]`
 * @throws {SetupError} with the end of the output when the command fails or cannot be started
 */
export async function runStep(title, { about, command, args, env, cwd, counter }) {
  const startedAt = Date.now();
  const elapsed = () => {
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  };
  const terminal = process.stderr.isTTY;
  let tail = [];
  let count = '';
  let shownAt = startedAt;

  say(`${title}, ${about}`);
  const ticker = setInterval(() => {
    if (terminal) process.stderr.write(`\rsetup: … ${elapsed()} ${count} `);
    else if (Date.now() - shownAt >= QUIET_INTERVAL_MS) {
      shownAt = Date.now();
      say(`… ${elapsed()} ${count}`.trimEnd());
    }
  }, 1000);

  // A process group of its own, so that the command's child processes end with it.
  const child = spawn(command, args, {
    cwd,
    env: env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const abort = (signal) => {
    endGroup(child.pid);
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', abort);
  process.once('SIGTERM', abort);

  const read = (chunk) => {
    const lines = String(chunk)
      .split(/[\r\n]+/)
      .filter(Boolean);
    tail = tail.concat(lines).slice(-TAIL_LINES);
    for (const line of lines) count = counter?.exec(line)?.[0] ?? count;
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);

  const failure = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) =>
      resolve(code === 0 ? undefined : `it ended with ${signal ?? `code ${code}`}`),
    );
  });
  clearInterval(ticker);
  process.removeListener('SIGINT', abort);
  process.removeListener('SIGTERM', abort);
  if (terminal) process.stderr.write('\r\x1b[K');
  if (failure !== undefined)
    throw new SetupError([...tail.map((line) => `  | ${line}`), `${title} failed: ${failure}`].join('\n'));
  say(`${title}: done in ${elapsed()}`);
}

function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGTERM');
  } catch {
    // It has ended already, or did not start.
  }
}
