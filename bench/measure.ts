import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf, processorMs, type ProcessRole } from '../test/helpers/processes.ts';

/** A figure of several rounds: the median, and the lowest and highest beside it. */
export interface Figure {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function figure(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: percentile(sorted, 50), low: sorted[0] ?? NaN, high: sorted.at(-1) ?? NaN };
}

/** @param sorted in ascending order */
export function percentile(sorted: readonly number[], percent: number): number {
  if (sorted.length === 0) return NaN;
  if (percent === 50 && sorted.length % 2 === 0)
    return (sorted[sorted.length / 2 - 1]! + sorted[sorted.length / 2]!) / 2;
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))]!;
}

/** Proportional memory of a process in megabytes, so that sums are meaningful. */
export function memoryMb(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** Process ids by role. */
export type Groups = Readonly<Record<string, readonly number[]>>;

/** Measures the CPU of each group, in percent of one core. Processes that start or end meanwhile are not counted. */
export async function processorLoad(groups: Groups, seconds: number): Promise<Record<string, number>> {
  const look = (): Record<string, number> =>
    Object.fromEntries(
      Object.entries(groups).map(([name, pids]) => [name, pids.reduce((sum, pid) => sum + processorMs(pid), 0)]),
    );
  const [before, from] = [look(), performance.now()];
  await sleep(seconds * 1000);
  const [after, elapsed] = [look(), performance.now() - from];
  return Object.fromEntries(
    Object.keys(groups).map((name) => [name, ((after[name]! - before[name]!) / elapsed) * 100]),
  );
}

export function memory(groups: Groups): Record<string, number> {
  return Object.fromEntries(
    Object.entries(groups).map(([name, pids]) => [name, pids.reduce((sum, pid) => sum + memoryMb(pid), 0)]),
  );
}

const NAMES: Record<ProcessRole, string> = {
  'media-worker': 'worker',
  'audio-encoder': 'audio',
  'video-encoder': 'video',
  pusher: 'pushers',
  other: 'other',
};

/** The processes of a gateway. */
export function gatewayGroups(pid: number): Groups {
  const groups: Record<string, number[]> = { worker: [], gateway: [pid], audio: [], video: [], pushers: [], other: [] };
  for (const child of childrenOf(pid)) groups[NAMES[child.role]]!.push(child.pid);
  return groups;
}

export const total = (load: Readonly<Record<string, number>>): number =>
  Object.values(load).reduce((sum, value) => sum + value, 0);
