import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { inLists } from './schedule.mjs';

/** Caches of the checks, from which the next run continues. */
const CACHE = 'node_modules/.cache/checks';

const types = (name, project) => ({
  script: 'typescript/bin/tsc',
  args: ['-p', project, '--incremental', '--tsBuildInfoFile', `${CACHE}/${name}.tsbuildinfo`],
});

/** Browser code is checked against the browser's types. `seconds` decide the order. */
export const CHECKS = {
  typecheck: [
    { title: 'types', seconds: 40, ...types('server', '.') },
    { title: 'types of the browser library', seconds: 5, ...types('browser', 'src/web/client') },
  ],
  lint: [
    {
      title: 'style and import rules',
      seconds: 60,
      script: 'eslint/bin/eslint.js',
      args: ['.', '--max-warnings=0'],
      // Rules use the types of other files: the cache may miss an error in a file that was not changed itself.
      quickArgs: ['--cache', '--cache-strategy=content', `--cache-location=${CACHE}/eslint.json`],
    },
    {
      title: 'format',
      seconds: 20,
      script: 'prettier/bin/prettier.cjs',
      args: [
        '--check',
        '--log-level=warn',
        '--cache',
        '--cache-strategy=content',
        `--cache-location=${CACHE}/prettier.json`,
        '.',
      ],
    },
  ],
};

/**
 * Folders of test files. `load`: cores that a process needs, somewhat more than its average; what needs two runs
 * alone on a machine with two. `loads`: those of other files. `processes`: the files run in so many processes, several in each.
 *
 * @type {Record<string, { load: number, loads?: Record<string, number>, processes?: number }>}
 */
export const SUITES = {
  unit: { load: 0.4, processes: 20 },
  // They mostly wait for servers and for media in real time.
  integration: { load: 0.5, loads: { 'standby.test.ts': 1 } },
  browser: { load: 1 },
  recovery: { load: 0.66 },
  timing: { load: 1 },
  // Attackers use what they get of both cores. In the others a few processes die and return.
  faults: {
    load: 2,
    loads: {
      'continuity.test.ts': 0.66,
      'cluster-drain.test.ts': 1,
      'cluster-standby.test.ts': 1,
      'restart.test.ts': 1,
    },
  },
};

/** @param {string} root the repository @returns {string[]} relative to it */
function testFiles(root, suite) {
  const folder = path.join(root, 'test', suite);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => path.join('test', suite, name));
}

/**
 * What to run.
 *
 * @param {string} root the repository
 * @param {string[]} names checks, suites and files; none: all
 * @param {(file: string) => number} secondsOf how long a file takes
 * @returns {{ runs: ({ load: number, seconds: number } & ({ check: object } | { files: string[] }))[], problems: string[] }}
 */
export function plan(root, names, secondsOf) {
  const all = names.length === 0;
  const wants = (name) => all || names.includes(name) || (names.includes('quick') && QUICK.has(name));
  const runs = [];
  const problems = [];
  for (const [name, checks] of Object.entries(CHECKS)) {
    if (!wants(name)) continue;
    for (const check of checks) runs.push({ check, load: 1, seconds: check.seconds });
  }
  for (const [suite, { load, loads = {}, processes }] of Object.entries(SUITES)) {
    if (!wants(suite)) continue;
    const files = testFiles(root, suite);
    // A suite that was named and has no tests is a failure.
    if (files.length === 0 && !all) problems.push(`${suite}: there are no tests in test/${suite}`);
    for (const { items, seconds } of inLists(files, processes ?? files.length, secondsOf))
      runs.push({ files: items, load: loads[path.basename(items[0])] ?? load, seconds });
  }
  for (const name of names) {
    if (name === 'quick' || name in CHECKS || name in SUITES) continue;
    const file = path.resolve(root, name);
    if (existsSync(file) && name.endsWith('.test.ts'))
      runs.push({ files: [path.relative(root, file)], load: Infinity, seconds: 0 });
    else problems.push(`${name}: no such suite or test file`);
  }
  if (all && !runs.some(({ files }) => files)) problems.push('there are no tests');
  return { runs, problems };
}

/** What `npm run test:quick` runs. */
const QUICK = new Set(['typecheck', 'lint', 'unit']);
