import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { endGroup, endProcess, processesMarked, waitForNoProcess } from './leftovers.mjs';
import { assertionReport, fileLine, outputReport, skipLine } from './report.mjs';

/** tap's own limit for a file, in seconds; a file that needs longer calls t.setTimeout(). */
const TAP_TIMEOUT_S = 120;

/** For a file whose event loop is blocked, or whose own limit is too long. Long tests run for up to an hour. */
const HARD_TIMEOUT_MS = process.env['LONG_TESTS'] === '1' ? 3_600_000 : 300_000;

/** Time in which a file must end after its last result. An open handle would keep it running. */
const EXIT_TIMEOUT_MS = 10_000;

/** Time in which the processes of a file must end after it. Later they count as leaks. */
const GRACE_MS = 3_000;

/** Runs several files in one process. */
const BATCH = 'scripts/test-runner/batch.mjs';

/** Environment variable of a test file and of all its child processes. */
const MARKER = 'TRANSPONDER_TEST_FILE';

/** pid of each running test file, and its marker. */
const running = new Map();

/**
 * Runs files of tests in one process, with its own process group, and reads the TAP that it writes. A crash, a time-out, a
 * process without tests and a child process that outlives it each count as a failure.
 *
 * @param {{ root: string, node: string, env: NodeJS.ProcessEnv }} context
 * @param {string[]} files relative to the repository
 * @param {number} number of the batch, if there are several files; batches that run in parallel have different ones
 * @returns {Promise<{ passed: number, failed: number, report: string }>} counts assertions
 */
export async function runTestFiles({ root, node, env }, files, number) {
  const single = files.length === 1;
  const script = single ? [path.join(root, files[0])] : [path.join(root, BATCH), String(number)];
  const title = single ? files[0] : `${path.dirname(files[0])} and others, ${files.length} files`;
  // The parser is an npm package, which may not be installed yet when this module is loaded.
  const { Parser } = await import('tap-parser');
  const startedAt = performance.now();
  const marker = `${MARKER}=${randomUUID()}`;
  const counts = { passed: 0, failed: 0 };
  const skipped = [];
  const failures = [];
  const fail = (text) => {
    counts.failed += 1;
    failures.push(text);
  };
  let output = '';

  const child = spawn(node, script, {
    cwd: root,
    env: {
      ...env,
      ...(single ? {} : { TEST_FILES: JSON.stringify(files) }),
      TAP: '1',
      TAP_TIMEOUT: String(TAP_TIMEOUT_S * files.length),
      [MARKER]: marker.slice(MARKER.length + 1),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running.set(child.pid, marker);
  const parser = new Parser();
  // 'result' is emitted for assertions only, not for the tests that contain them.
  parser.on('result', (result) => {
    if (result.skip) skipped.push(skipLine(result));
    else if (result.ok || result.todo) counts.passed += result.ok ? 1 : 0;
    else fail(assertionReport(result));
  });
  parser.on('extra', (text) => (output += text));
  const completed = new Promise((resolve) => parser.once('complete', resolve));
  child.stdout.on('data', (chunk) => parser.write(chunk.toString()));
  child.stderr.on('data', (chunk) => (output += chunk));

  let overdue;
  const endIn = (milliseconds, reason) =>
    setTimeout(() => {
      overdue = reason;
      endGroup(child.pid);
    }, milliseconds);
  let deadline = endIn(HARD_TIMEOUT_MS, `it did not end within ${HARD_TIMEOUT_MS / 1000} s`);
  parser.on('comment', (comment) => {
    // The last line of tap.
    if (!comment.startsWith('# time=')) return;
    clearTimeout(deadline);
    deadline = endIn(EXIT_TIMEOUT_MS, `it did not end within ${EXIT_TIMEOUT_MS / 1000} s after its last result`);
  });
  const { code, signal } = await new Promise((resolve, reject) => {
    child.once('error', reject);
    // 'exit', not 'close': a leaked child process may keep the output open.
    child.once('exit', (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
  });
  clearTimeout(deadline);
  await drained(child);
  parser.end();
  const results = await completed;

  if (overdue) fail(`  ✗ ${overdue}`);
  else if (counts.failed === 0 && code !== 0) fail(`  ✗ it ended with ${signal ?? `code ${code}`}`);
  else if (counts.failed === 0 && !results.ok)
    fail(
      `  ✗ its results are incomplete: ${results.failures
        .map(({ tapError }) => tapError)
        .filter(Boolean)
        .join('; ')}`,
    );
  else if (counts.failed === 0 && results.count === 0) fail('  ✗ it has no tests');

  for (const { pid, args } of await waitForNoProcess(marker, GRACE_MS)) {
    fail(`  ✗ it left a process behind: ${args}`);
    endProcess(pid);
  }
  running.delete(child.pid);
  const report = [fileLine(title, counts, performance.now() - startedAt), ...skipped, ...failures];
  if (counts.failed > 0) report.push(...outputReport(output));
  return { ...counts, report: report.join('\n') };
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
