// npm test: installs what is missing, checks types and style, then runs the tests. The last line is: N passed, N failed.
// Environment variables reach the gateways under test: FAST_PATHS=false npm test.
// Usage: node scripts/test.mjs [--no-install] [quick | typecheck | lint | unit | integration | browser | recovery | timing | faults | FILE.test.ts]...
// Default: all. `quick`: types, lint and unit tests, with a cache of what was linted and fewer random runs.
import os from 'node:os';
import path from 'node:path';
import { ROOT, setUp } from './setup.mjs';
import { readInstallOption } from './setup/plan.mjs';
import { say, SetupError } from './setup/progress.mjs';
import { runCheck } from './test-runner/check.mjs';
import { Durations } from './test-runner/durations.mjs';
import { runWithin } from './test-runner/schedule.mjs';
import { plan } from './test-runner/suites.mjs';
import { endRunningTests, runTestFiles } from './test-runner/test-file.mjs';

const total = { passed: 0, failed: 0 };

function add({ passed, failed, report }) {
  total.passed += passed;
  total.failed += failed;
  console.log(report);
}

async function runAll(names, options) {
  const durations = new Durations(ROOT);
  const { runs, problems } = plan(ROOT, names, (file) => durations.of(file));
  for (const problem of problems) add({ passed: 0, failed: 1, report: `FAIL ${problem}` });
  const { node, env } = await setUp('test', options);
  // Hundreds of processes load the same modules.
  const compiled = { NODE_COMPILE_CACHE: path.join(ROOT, 'node_modules/.cache/compiled'), ...env };
  const quick = names.includes('quick');
  // Of thousands of random publishers and messages.
  const context = { root: ROOT, node, env: quick ? { RUNS: '300', ...compiled } : compiled };
  await runWithin(os.availableParallelism(), runs, async (run) => {
    if (run.check) return add(await runCheck(context, run.check, quick));
    await runTestFiles(context, run.files, (result) => {
      add(result);
      durations.set(result.file, result.seconds);
    });
  });
  // A file that was run alone took as long as it takes alone.
  if (runs.length > 1) durations.save();
}

let ending = false;
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
]) {
  process.on(signal, async () => {
    // One Ctrl-C arrives twice: from the terminal and from npm.
    if (ending) return;
    ending = true;
    await endRunningTests();
    process.exit(128 + number);
  });
}

try {
  const { install, args } = readInstallOption(process.argv.slice(2));
  await runAll(args, { install });
} catch (error) {
  if (error instanceof SetupError) say(error.message);
  else console.error(error);
  total.failed += 1;
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
