import { execFile } from 'node:child_process';
import { readFileSync, symlinkSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';

const ROOT = join(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules/mediasoup/package.json'), 'utf8')) as {
  version: string;
};
const worker = { ...process.env, ...mediaWorkerEnv() }.MEDIASOUP_WORKER_BIN;

/** Sets up with the cache in this folder. */
const setUp = (cache: string) =>
  promisify(execFile)(process.execPath, [join(ROOT, 'scripts/setup.mjs'), '--for', 'image'], {
    env: { PATH: process.env.PATH, OPUS_TO_AAC_BIN: '', XDG_CACHE_HOME: cache },
  });

t.test('a cache that cannot be written to, and has no worker', async (t) => {
  await t.rejects(setUp('/dev/null'), {
    code: 1,
    stderr:
      "setup: mediasoup's worker has to be put into /dev/null/webrtc-transponder, which cannot be written to (ENOTDIR). Set XDG_CACHE_HOME to another folder.\n",
  });
});

t.test(
  'a worker that works is used, though the cache cannot remember that',
  { skip: worker ? false : 'there is no worker of the set-up' },
  async (t) => {
    const cache = t.testdir({ 'webrtc-transponder': {} });
    const cached = join(cache, 'webrtc-transponder', `mediasoup-worker-${version}-${platform()}-${arch()}`);
    symlinkSync(worker!, cached);
    symlinkSync('/dev/null/nowhere', `${cached}.proved`);
    t.match(
      (await setUp(cache)).stderr,
      `everything is there. Node: ${process.execPath}, mediasoup's worker: ${cached}`,
    );
  },
);
