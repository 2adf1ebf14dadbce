import t from 'tap';
import { Ticker } from '../../../src/runtime/ticker.ts';
import { waitFor } from '../../helpers/wait.ts';

t.test('one timer for all listeners, and none without listeners', async (t) => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const ticker = new Ticker(1);
  const counts = [0, 0];
  const stops = counts.map((_, i) => ticker.listen(() => void counts[i]!++));
  t.equal(timers(), before + 1);
  await waitFor('both to be called', async () => counts[0]! > 1 && counts[1]! > 1, { every: 1 });
  stops[0]!();
  stops[0]!();
  const [gone, there] = counts;
  await waitFor('the other to be called', async () => counts[1]! > there! + 1, { every: 1 });
  t.equal(counts[0], gone);
  stops[1]!();
  t.equal(timers(), before);
});

t.test('equal intervals share one timer', async (t) => {
  t.equal(Ticker.every(7), Ticker.every(7));
  t.not(Ticker.every(7), Ticker.every(8));
});
