// npm test: installs what is missing, checks types and style, then runs the tests. The last line is: N passed, N failed.
// Environment variables reach the gateways under test: FAST_PATHS=false npm test.
// Usage: node scripts/test.mjs [--no-install] [typecheck | lint | unit | integration | browser | recovery | timing | faults | FILE.test.ts]...    (default: all)
import { existsSync, readdirSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ROOT, setUp } from './setup.mjs';
import { readInstallOption } from './setup/plan.mjs';
import { say, SetupError } from './setup/progress.mjs';
import { runCheck } from './test-runner/check.mjs';
import { endRunningTests, runTestFiles } from './test-runner/test-file.mjs';

/** The checks run in parallel. Browser code is checked against the browser's types. */
const CHECKS = {
  typecheck: [
    { title: 'types', script: 'typescript/bin/tsc', args: ['-p', '.'] },
    { title: 'types of the browser library', script: 'typescript/bin/tsc', args: ['-p', 'src/web/client'] },
  ],
  lint: [
    { title: 'style and import rules', script: 'eslint/bin/eslint.js', args: ['.', '--max-warnings=0'] },
    { title: 'format', script: 'prettier/bin/prettier.cjs', args: ['--check', '--log-level=warn', '.'] },
  ],
};

/**
 * Number of files of a suite that run in parallel. Files of `timing` and `faults` run alone: they compare output with the clock, and a
 * browser that encodes takes a core.
 */
const SUITES = {
  // Batches of files: see BATCHES. They partly wait for files and sockets.
  unit: os.availableParallelism() + 1,
  // They mostly wait for servers and for media in real time.
  integration: os.availableParallelism() + 1,
  browser: Math.min(2, os.availableParallelism()),
  recovery: Math.min(2, os.availableParallelism()),
  timing: 1,
  faults: 1,
};

/** Number of processes for the files of a suite that runs several files in one process. Each file of the other suites has its own. */
const BATCHES = { unit: 20 };

/** Suites whose processes share compiled modules, which starts them faster. Where times are judged, gateways start as users start them. */
const CACHED = new Set(['unit', 'integration']);

const total = { passed: 0, failed: 0 };

function add({ passed, failed, report }) {
  total.passed += passed;
  total.failed += failed;
  console.log(report);
}

const sizeOf = (file) => statSync(path.join(ROOT, file)).size;

/** The largest files first: most of them take longest, and none of those is left to run alone at the end. */
function testFiles(suite) {
  const folder = path.join(ROOT, 'test', suite);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => path.join('test', suite, name))
    .sort((a, b) => sizeOf(b) - sizeOf(a));
}

/** The files in `count` lists of about the same size, the largest files first in each. */
function batches(files, count) {
  const lists = Array.from({ length: Math.min(count, files.length) }, () => []);
  files.forEach((file, index) => lists[index % lists.length].push(file));
  return lists;
}

/** Each entry of `runs` is the files of one process. @returns {{ checks: string[], groups: { runs: string[][], jobs: number, suite?: string }[] }} */
function plan(names) {
  const all = names.length === 0;
  const checks = Object.keys(CHECKS).filter((name) => all || names.includes(name));
  const groups = [];
  for (const [suite, jobs] of Object.entries(SUITES)) {
    if (!all && !names.includes(suite)) continue;
    const files = testFiles(suite);
    // A suite that was named and has no tests is a failure.
    if (files.length === 0 && !all)
      add({ passed: 0, failed: 1, report: `FAIL ${suite}: there are no tests in test/${suite}` });
    groups.push({ runs: batches(files, BATCHES[suite] ?? files.length), jobs, suite });
  }
  for (const name of names) {
    if (name in CHECKS || name in SUITES) continue;
    if (existsSync(path.resolve(ROOT, name)) && name.endsWith('.test.ts'))
      groups.push({ runs: [[path.relative(ROOT, path.resolve(ROOT, name))]], jobs: 1 });
    else add({ passed: 0, failed: 1, report: `FAIL ${name}: no such suite or test file` });
  }
  if (all && groups.every((group) => group.runs.length === 0))
    add({ passed: 0, failed: 1, report: 'FAIL there are no tests' });
  return { checks, groups };
}

async function runAll(names, options) {
  const { checks, groups } = plan(names);
  const { node, env } = await setUp('test', options);
  const context = { root: ROOT, node, env };
  const cached = { ...context, env: { NODE_COMPILE_CACHE: path.join(ROOT, 'node_modules/.cache/compiled'), ...env } };
  await Promise.all(checks.flatMap((name) => CHECKS[name]).map(async (check) => add(await runCheck(context, check))));
  for (const { runs, jobs, suite } of groups) {
    const waiting = [...runs];
    const worker = async () => {
      for (let files = waiting.shift(); files !== undefined; files = waiting.shift())
        await runTestFiles(CACHED.has(suite) ? cached : context, files, add);
    };
    await Promise.all(Array.from({ length: jobs }, worker));
  }
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
