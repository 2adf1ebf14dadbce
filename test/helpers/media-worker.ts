import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Environment that selects mediasoup's worker: what the caller has set, or the worker that `scripts/setup` stored in the cache, or
 * nothing, so that mediasoup uses its prebuilt one.
 */
export function mediaWorkerEnv(): Record<string, string> {
  if (process.env.MEDIASOUP_WORKER_BIN) return {};
  const manifest = new URL('../../node_modules/mediasoup/package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const path = join(cache, 'webrtc-transponder', `mediasoup-worker-${version}-${process.platform}-${process.arch}`);
  return existsSync(path) ? { MEDIASOUP_WORKER_BIN: path } : {};
}
