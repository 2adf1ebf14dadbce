import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { endGroup, endProcess, processesMarked, waitForNoProcess } from './leftovers.mjs';
import { ProcessResults } from './process-results.mjs';

/** tap's own limit for a file, in seconds; a file that needs longer calls t.setTimeout(). */
const TAP_TIMEOUT_S = 300;

/** For a file whose event loop is blocked, or whose own limit is too long. Long tests run for up to an hour. */
const HARD_TIMEOUT_MS = process.env['LONG_TESTS'] === '1' ? 3_600_000 : 600_000;

/** Time in which a file must end after its last result. An open handle would keep it running. */
const EXIT_TIMEOUT_MS = 30_000;

/** Time in which the processes of a file must end after it. Later they count as leaks. */
const GRACE_MS = 10_000;

/** Runs several files in one process. */
const BATCH = 'scripts/test-runner/batch.mjs';

/** Environment variable of a test file and of all its child processes. */
const MARKER = 'TRANSPONDER_TEST_FILE';

/** pid of each running test file, and its marker. */
const running = new Map();

/**
 * Runs files of tests, one after the other in one process. If the process ends before all have run, the file that ran is a failure and the
 * others run in another process.
 *
 * @param {{ root: string, node: string, env: NodeJS.ProcessEnv }} context
 * @param {string[]} files relative to the repository
 * @param {(result: { file: string, passed: number, failed: number, seconds: number, report: string }) => void} onResult called for each file
 */
export async function runTestFiles(context, files, onResult) {
  // An npm package, which may not be installed yet when this module is loaded.
  const { Parser } = await import('tap-parser');
  for (let left = files; left.length > 0;) {
    const ran = await runProcess(context, left, new ProcessResults(left, new Parser(), onResult));
    left = left.slice(ran);
  }
}

/**
 * Runs files in one process, with its own process group, and reads the TAP that it writes. A crash, a time-out, a file without tests and a
 * child process that outlives it each count as a failure.
 *
 * @returns {Promise<number>} number of files that have run, at least 1
 */
async function runProcess({ root, node, env }, files, results) {
  const batch = files.length > 1;
  const marker = `${MARKER}=${randomUUID()}`;
  const child = spawn(node, [path.join(root, batch ? BATCH : files[0])], {
    cwd: root,
    env: {
      ...env,
      ...(batch && { TEST_FILES: JSON.stringify(files), TEST_FILE_TIMEOUT_S: String(TAP_TIMEOUT_S) }),
      TAP: '1',
      TAP_TIMEOUT: batch ? '0' : String(TAP_TIMEOUT_S),
      [MARKER]: marker.slice(MARKER.length + 1),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running.set(child.pid, marker);

  let overdue;
  let deadline;
  const endIn = (milliseconds, when = '') => {
    clearTimeout(deadline);
    deadline = setTimeout(() => {
      overdue = `it did not end within ${milliseconds / 1000} s${when}`;
      endGroup(child.pid);
    }, milliseconds);
  };
  results.onFile = () => endIn(HARD_TIMEOUT_MS);
  results.onLast = () => endIn(EXIT_TIMEOUT_MS, ' after its last result');
  endIn(HARD_TIMEOUT_MS);
  child.stdout.on('data', (chunk) => results.write(chunk.toString()));
  child.stderr.on('data', (chunk) => results.print(chunk));
  const { code, signal } = await new Promise((resolve, reject) => {
    child.once('error', reject);
    // 'exit', not 'close': a leaked child process may keep the output open.
    child.once('exit', (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
  });
  clearTimeout(deadline);
  await drained(child);
  const left = await waitForNoProcess(marker, GRACE_MS);
  for (const { pid } of left) endProcess(pid);
  running.delete(child.pid);
  return results.end({ overdue, code, signal, left: left.map(({ args }) => args) });
}

/** Ends the running tests when the run is aborted. */
export async function endRunningTests() {
  const markers = [...running.values()];
  for (const pid of running.keys()) endGroup(pid, 'SIGTERM');
  for (const marker of markers) {
    await waitForNoProcess(marker, GRACE_MS);
    for (const { pid } of processesMarked(marker)) endProcess(pid);
  }
}

/** Output that was written before the exit arrives in later event-loop ticks. A leaked pipe is not awaited. */
async function drained(child) {
  const ended = Promise.all(
    [child.stdout, child.stderr].map(
      (stream) => stream.readableEnded || new Promise((resolve) => stream.once('end', resolve)),
    ),
  );
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 500))]);
  child.stdout.destroy();
  child.stderr.destroy();
}
