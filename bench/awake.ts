import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError } from './bench-error.ts';

/** Ends when its parent is gone. */
const SPIN = 'const parent = process.ppid; while (process.ppid === parent) for (let i = 0; i < 1e7; i++);';
/** Node has started by then. */
const SETTLE_MS = 1000;

/**
 * Measures while a process of idle priority (`SCHED_IDLE`) runs on each core, as on a machine with other work. A core that sleeps, above all a virtual one, loses its
 * caches, and that is counted as CPU of the process that wakes it.
 *
 * @throws {BenchError} that says what to install
 */
export async function withCoresAwake<Result>(measure: () => Promise<Result>): Promise<Result> {
  const spinners = Array.from({ length: availableParallelism() }, () =>
    spawn('chrt', ['--idle', '0', process.execPath, '-e', SPIN], { stdio: 'ignore' }),
  );
  try {
    await Promise.all(spinners.map((spinner) => once(spinner, 'spawn')));
    await sleep(SETTLE_MS);
    return await measure();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new BenchError('To keep the cores awake takes `chrt`. Type: apt-get install util-linux');
    throw error;
  } finally {
    for (const spinner of spinners) spinner.kill('SIGKILL');
  }
}
