import t from 'tap';
import { RealTimeBudget } from '../../../src/renditions/real-time-budget.ts';

/** Milliseconds that are taken of packets that all arrive at the same moment. */
function taken(budget: RealTimeBudget, packets: number, packetMs: number, nowMs: number): number {
  let ms = 0;
  for (let i = 0; i < packets; i++) if (budget.take(packetMs, nowMs)) ms += packetMs;
  return ms;
}

t.test('real time passes for ever, from a clock that runs a little fast too', async (t) => {
  const budget = new RealTimeBudget();
  for (let at = 0; at < 3_600_000; at += 20) if (!budget.take(20.2, at)) return t.fail(`dropped at ${at} ms`);
});

t.test('a burst passes, up to eight seconds', async (t) => {
  t.equal(taken(new RealTimeBudget(), 90, 120, 0), 66 * 120);
  const budget = new RealTimeBudget();
  t.equal(taken(budget, 500, 20, 0), 8000);
  t.equal(taken(budget, 250, 20, 1000), 1020, 'it refills with real time');
  t.equal(taken(budget, 1000, 20, 600_000), 8000, 'and holds no more than before');
});

t.test('twice real time: half of it passes in the long run', async (t) => {
  const budget = new RealTimeBudget();
  let ms = 0;
  for (let at = 0; at < 100_000; at += 20) ms += taken(budget, 2, 20, at);
  t.ok(ms > 102_000 && ms < 111_000, `${ms} ms`);
});

t.test('a clock that steps back costs nothing and gives nothing', async (t) => {
  const budget = new RealTimeBudget();
  taken(budget, 400, 20, 10_000);
  t.notOk(budget.take(20, 5000));
  t.ok(budget.take(20, 5020));
});
