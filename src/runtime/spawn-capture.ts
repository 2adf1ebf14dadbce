import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

/**
 * Runs `spawn` and returns the child process that it started, which its API does not expose. Node publishes each child
 * process on the diagnostics channel `child_process`.
 *
 * @param spawn starts its child process before its first `await`
 * @returns `child` is `undefined` where Node published none
 */
export async function captureSpawn<Result>(
  spawn: () => Promise<Result>,
): Promise<{ result: Result; child: ChildProcess | undefined }> {
  let child: ChildProcess | undefined;
  const onSpawn = (message: unknown): void => void (child = (message as { process?: ChildProcess }).process);
  subscribe('child_process', onSpawn);
  let spawning: Promise<Result>;
  try {
    spawning = spawn();
  } finally {
    unsubscribe('child_process', onSpawn);
  }
  return { result: await spawning, child };
}
