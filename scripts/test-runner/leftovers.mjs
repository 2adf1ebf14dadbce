import { readdirSync, readFileSync } from 'node:fs';

const POLL_MS = 50;

/**
 * Processes that have `marker` (NAME=value) in their environment. This finds everything that a test has started, even if its parent
 * has ended or it is in another process group. Works on Linux only; elsewhere the list is empty.
 *
 * @returns {{ pid: number, args: string }[]}
 */
export function processesMarked(marker) {
  let names;
  try {
    names = readdirSync('/proc');
  } catch {
    return [];
  }
  return (
    names
      .filter((name) => /^\d+$/.test(name))
      .filter((name) => read(name, 'environ').split('\0').includes(marker))
      // A zombie has ended, but its parent has not collected its status yet.
      .filter((name) => !/^State:\s+Z/m.test(read(name, 'status')))
      .map((name) => ({ pid: Number(name), args: read(name, 'cmdline').split('\0').join(' ').trim() }))
  );
}

/** Waits until no process has the marker. @returns the processes that remain after `timeoutMs` */
export async function waitForNoProcess(marker, timeoutMs) {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const left = processesMarked(marker);
    if (left.length === 0 || performance.now() > until) return left;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export function endProcess(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended in the meantime.
  }
}

/** Ends a process group by the pid of its first process. */
export function endGroup(pid, signal = 'SIGKILL') {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended in the meantime.
  }
}

function read(pid, name) {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    // It has ended in the meantime, or belongs to another user.
    return '';
  }
}
