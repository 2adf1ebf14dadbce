import { readdirSync, readFileSync } from 'node:fs';

/** The role of a child of the gateway, from its arguments. */
export type ProcessRole = 'media-worker' | 'audio-encoder' | 'video-encoder' | 'pusher' | 'other';

export interface ProcessInfo {
  readonly pid: number;
  readonly role: ProcessRole;
  readonly args: readonly string[];
}

/** Linux counts processor time in ticks of 10 ms (`getconf CLK_TCK`). */
const TICK_MS = 10;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process ended after it was listed.
    return undefined;
  }
}

function pids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The fields of `/proc/PID/stat` after the command name, which may contain spaces and brackets: state, ppid, ... */
function statFields(pid: number): string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function roleOf(args: readonly string[]): ProcessRole {
  const program = args[0]?.split('/').at(-1) ?? '';
  if (program.startsWith('mediasoup-worker')) return 'media-worker';
  if (program.startsWith('opus-to-aac')) return 'audio-encoder';
  if (program !== 'ffmpeg') return 'other';
  if (args.includes('libx264')) return 'video-encoder';
  if (args.some((arg) => arg.startsWith('aac') || arg.startsWith('libfdk_aac') || arg === 'adts'))
    return 'audio-encoder';
  if (args.includes('copy')) return 'pusher';
  return 'other';
}

/** A process that has just been spawned has no arguments for a moment, because exec returns to the parent before they are set. */
export function argumentsOf(pid: number): string[] {
  for (let looks = 0; looks < 1000; looks++) {
    const line = read(`/proc/${pid}/cmdline`);
    if (line !== '') return (line ?? '').split('\0').filter(Boolean);
  }
  return [];
}

/** The running direct children of a process, without zombies. */
export function childrenOf(parent: number): ProcessInfo[] {
  const children: ProcessInfo[] = [];
  for (const pid of pids()) {
    const fields = statFields(pid);
    if (!fields || fields[0] === 'Z' || Number(fields[1]) !== parent) continue;
    const args = argumentsOf(pid);
    if (args.length > 0) children.push({ pid, role: roleOf(args), args });
  }
  return children;
}

/** A process and all that it has started. */
export const treeOf = (pid: number): number[] => [pid, ...childrenOf(pid).flatMap((child) => treeOf(child.pid))];

/** Running processes with `marker` in their environment, including those whose parent has ended. */
export function processesMarked(marker: string): number[] {
  return pids().filter((pid) => statFields(pid)?.[0] !== 'Z' && read(`/proc/${pid}/environ`)?.includes(marker));
}

/** Milliseconds of processor time of a process with its threads, without its children. */
export function cpuTime(pid: number): number {
  const fields = statFields(pid);
  if (!fields) return 0;
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** The same from the scheduler's nanoseconds instead of ticks. */
export function processorMs(pid: number): number {
  let sum = 0;
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`))
      sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    // It has ended.
  }
  return sum;
}

/** The most memory that a process has had so far, in megabytes; 0 if it has ended. */
export function peakMemory(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? 0) / 1024;
}

/** Number of open file descriptors of a process; grows with a leak. */
export function openFiles(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** What each thread of a process does, the main thread first: name, state, processor time and where in the kernel it sleeps. */
export function threadsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const [name, stat, sleeps] = ['comm', 'stat', 'wchan'].map((file) => read(`/proc/${pid}/task/${thread}/${file}`));
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
    return `${name?.trim()} ${fields[0]} ${(Number(fields[11]) + Number(fields[12])) * TICK_MS} ms ${sleeps}`;
  });
}
