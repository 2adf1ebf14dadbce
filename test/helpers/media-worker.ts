import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The environment that tells mediasoup which worker to run: what the caller has set, else the worker that `scripts/setup` has put into
 * the cache, else nothing, and mediasoup takes its own prebuilt one.
 */
export function mediaWorkerEnv(): Record<string, string> {
  if (process.env.MEDIASOUP_WORKER_BIN) return {};
  const manifest = new URL('../../node_modules/mediasoup/package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const path = join(cache, 'webrtc-transponder', `mediasoup-worker-${version}-${process.platform}-${process.arch}`);
  return existsSync(path) ? { MEDIASOUP_WORKER_BIN: path } : {};
}
