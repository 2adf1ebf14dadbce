import { accessSync, constants } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Folder for programs that were built or fetched, shared by all copies of the repository. */
export function cacheFolder() {
  return path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'webrtc-transponder');
}

export function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
