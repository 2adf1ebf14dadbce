import t from 'tap';
import { Ticker } from '../../../src/runtime/ticker.ts';
import { replaceGlobals } from '../../helpers/replace-globals.ts';
import { waitFor } from '../../helpers/wait.ts';

t.test('one timer for all listeners, and none without listeners', async (t) => {
  // Other files of the process have timers too: only those of this interval count.
  const INTERVAL_MS = 1.5;
  const running = new Set<unknown>();
  const { setInterval: start, clearInterval: end } = globalThis;
  replaceGlobals(t, {
    setInterval: (listener: () => void, intervalMs: number) => {
      const timer = start(listener, intervalMs);
      if (intervalMs === INTERVAL_MS) running.add(timer);
      return timer;
    },
    clearInterval: (timer: NodeJS.Timeout) => {
      running.delete(timer);
      end(timer);
    },
  });
  const ticker = new Ticker(INTERVAL_MS);
  const counts = [0, 0];
  const stops = counts.map((_, i) => ticker.listen(() => void counts[i]!++));
  t.equal(running.size, 1);
  await waitFor('both to be called', async () => counts[0]! > 1 && counts[1]! > 1, { every: 1 });
  stops[0]!();
  stops[0]!();
  const [gone, there] = counts;
  await waitFor('the other to be called', async () => counts[1]! > there! + 1, { every: 1 });
  t.equal(counts[0], gone);
  stops[1]!();
  t.equal(running.size, 0);
});

t.test('equal intervals share one timer', async (t) => {
  t.equal(Ticker.every(7), Ticker.every(7));
  t.not(Ticker.every(7), Ticker.every(8));
});

t.test('shared tickers tick together, each at its own pace', async (t) => {
  const times: Record<number, number[]> = { 5: [], 12: [], 40: [] };
  const stops = [40, 12, 5].map((ms) => Ticker.every(ms).listen((nowMs) => times[ms]!.push(nowMs)));
  await waitFor('the longest interval', () => times[40]!.length >= 6, { every: 1 });
  for (const stop of stops) stop();
  for (const ms of [12, 40])
    t.ok(
      times[ms]!.every((time) => times[5]!.includes(time)),
      `every ${ms} ms, without a wake-up`,
    );
  const rounds = times[40]!.at(-1)! - times[40]![0]!;
  t.ok(times[12]!.length <= rounds / 12 + 6 && times[12]!.length > 10, `${times[12]!.length} in ${rounds} ms`);
});
