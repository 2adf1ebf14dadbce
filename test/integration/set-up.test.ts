import { execFile } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';

const ROOT = join(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules/mediasoup/package.json'), 'utf8')) as {
  version: string;
};
const worker = { ...process.env, ...mediaWorkerEnv() }.MEDIASOUP_WORKER_BIN;

const run = promisify(execFile);

/** Runs the set-up with this folder as cache. */
const setUp = (cache: string, ...options: string[]) =>
  run(process.execPath, [join(ROOT, 'scripts/setup.mjs'), '--for', 'image', ...options], {
    env: { PATH: process.env.PATH, OPUS_TO_AAC_BIN: '', XDG_CACHE_HOME: cache },
  });

t.test('a cache that is not writable, and has no worker', async (t) => {
  const { code, stderr } = await setUp('/dev/null').then(
    () => t.bailout('the set-up succeeded') as never,
    (error: { code: number; stderr: string }) => error,
  );
  t.equal(code, 1);
  t.match(
    stderr,
    /^setup: about to install what is missing \(--no-install: only list it\):\n {2}- mediasoup's worker, into /,
  );
  t.match(
    stderr,
    "setup: mediasoup's worker belongs into /dev/null/webrtc-transponder, which is not writable (ENOTDIR). Set XDG_CACHE_HOME to another folder.\n",
  );
});

t.test('--no-install lists what is missing and changes nothing', async (t) => {
  // A copy of the repository without node_modules, on a machine without ffmpeg.
  const folder = t.testdir({ repository: {}, cache: {} });
  const copy = join(folder, 'repository');
  for (const name of ['scripts', 'native', 'package.json', 'package-lock.json'])
    cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  const before = readdirSync(folder, { recursive: true }).sort();
  const noInstall = (script: string, ...args: string[]) =>
    run(process.execPath, [join(copy, 'scripts', script), ...args, '--no-install'], {
      cwd: copy,
      env: { PATH: dirname(process.execPath), XDG_CACHE_HOME: join(folder, 'cache') },
    }).catch((error: { code: number; stderr: string; stdout: string }) => error);

  for (const [script, ...args] of [
    ['start.mjs', '--config', 'none'],
    ['setup.mjs', '--for', 'test'],
    ['test.mjs', 'unit'],
    ['bench.mjs'],
  ] as const) {
    const result = await noInstall(script, ...args);
    t.match(result, { code: 1 }, `${script} exits with code 1`);
    const { stderr } = result;
    t.match(stderr, 'setup: these are missing:\n');
    for (const line of [
      /- npm packages of package-lock.json/,
      script === 'start.mjs'
        ? /- Debian packages \(apt-get\): ffmpeg:/
        : /- Debian packages \(apt-get\): ffmpeg, .*chromium/,
      /- mediasoup's worker, .* built from source: about \d+ minutes, with the Debian packages .*meson/,
      /- the audio encoder, .* in some seconds, with the Debian packages .*gcc/,
      /Nothing was changed/,
    ])
      t.match(stderr, line, `${script}: ${line.source}`);
  }
  t.same(readdirSync(folder, { recursive: true }).sort(), before, 'nothing was changed');
});

t.test(
  'a working worker in a cache that is not writable',
  { skip: worker ? false : 'the set-up has no worker' },
  async (t) => {
    const cache = t.testdir({ 'webrtc-transponder': {} });
    const cached = join(cache, 'webrtc-transponder', `mediasoup-worker-${version}-${platform()}-${arch()}`);
    symlinkSync(worker!, cached);
    symlinkSync('/dev/null/nowhere', `${cached}.proved`);
    for (const options of [[], ['--no-install']]) {
      const { stderr } = await setUp(cache, ...options);
      t.match(stderr, `everything is there. Node: ${process.execPath}, mediasoup's worker: ${cached}`);
      t.notMatch(stderr, 'missing');
    }
  },
);
