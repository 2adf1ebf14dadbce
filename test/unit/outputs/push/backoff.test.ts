import t from 'tap';
import { retryDelayMs } from '../../../../src/outputs/push/backoff.ts';
import { RateMeter } from '../../../../src/outputs/rate-meter.ts';

t.test('fixed, as in WCS', async (t) => {
  for (const attempt of [0, 1, 50]) t.equal(retryDelayMs({ intervalMs: 5000, capMs: 0 }, attempt, 0.7), 5000);
});

t.test('doubled up to the cap, with jitter', async (t) => {
  const rules = { intervalMs: 1000, capMs: 10_000 };
  t.strictSame(
    [0, 1, 2, 3, 4, 1000].map((attempt) => retryDelayMs(rules, attempt, 1)),
    [1000, 2000, 4000, 8000, 10_000, 10_000],
  );
  t.equal(retryDelayMs(rules, 3, 0), 4000, 'never at once');
});

t.test('RateMeter: a rate over the last seconds', async (t) => {
  const meter = new RateMeter();
  t.equal(meter.perSecond(0, 0), 0);
  meter.note(0, 0);
  t.equal(meter.perSecond(1000, 0), 0, 'too few samples');
  for (let ms = 0; ms <= 20_000; ms += 10) meter.note(ms < 10_000 ? ms : 10_000 + (ms - 10_000) * 3, ms);
  t.ok(Math.abs(meter.perSecond(40_000, 20_000) - 3000) < 1, 'only the last seconds count');
  t.equal(meter.perSecond(40_000, 30_000), 0, 'no samples for a while');
});
