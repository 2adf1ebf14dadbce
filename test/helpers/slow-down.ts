import { performance } from 'node:perf_hooks';

/**
 * Loaded before a gateway that a test overloads. A message `{ slowDown: N }` makes its main thread slower: for each millisecond of work
 * it does nothing useful for N more. Less work, for example because frames are dropped, takes less time, as on a machine that is too
 * slow.
 */

const EVERY_MS = 10;
/** A tick is not made longer than this. Milliseconds. */
const MOST_AT_ONCE_MS = 200;

const usedMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

let timer: NodeJS.Timeout | undefined;
let workedUntilMs = 0;
let owedMs = 0;

process.on('message', (message: { slowDown?: number }) => {
  const factor = message.slowDown;
  if (factor === undefined) return;
  clearInterval(timer);
  owedMs = 0;
  workedUntilMs = usedMs();
  if (factor > 0) timer = setInterval(() => waste(factor), EVERY_MS).unref();
});

function waste(factor: number): void {
  owedMs += (usedMs() - workedUntilMs) * factor;
  const until = performance.now() + Math.min(owedMs, MOST_AT_ONCE_MS);
  owedMs = Math.max(0, owedMs - MOST_AT_ONCE_MS);
  while (performance.now() < until);
  workedUntilMs = usedMs();
}
