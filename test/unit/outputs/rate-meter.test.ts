import t from 'tap';
import { RateMeter } from '../../../src/outputs/rate-meter.ts';

t.test('RateMeter: a rate over the last seconds', async (t) => {
  const meter = new RateMeter();
  t.equal(meter.perSecond(0, 0), 0);
  meter.note(0, 0);
  t.equal(meter.perSecond(1000, 0), 0, 'too few samples');
  for (let ms = 0; ms <= 20_000; ms += 10) meter.note(ms < 10_000 ? ms : 10_000 + (ms - 10_000) * 3, ms);
  t.ok(Math.abs(meter.perSecond(40_000, 20_000) - 3000) < 1, 'only the last seconds count');
  t.equal(meter.perSecond(40_000, 30_000), 0, 'no samples for a while');
});
