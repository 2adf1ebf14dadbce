import t from 'tap';
import { MinimumWindow } from '../../../../src/media/rtp/minimum-window.ts';

t.test('the smallest value counts for one to two buckets', async (t) => {
  const window = new MinimumWindow(1000);
  t.equal(window.minimum, Infinity);
  window.add(5, 0);
  for (let nowMs = 20; nowMs < 1000; nowMs += 20) window.add(100, nowMs);
  t.equal(window.minimum, 5);
  let forgottenMs = 0;
  for (let nowMs = 1000; nowMs < 3000; nowMs += 20) {
    window.add(100, nowMs);
    if (!forgottenMs && window.minimum === 100) forgottenMs = nowMs;
  }
  t.equal(forgottenMs, 2000);
});

t.test('after a pause the first value does not replace the minimum yet', async (t) => {
  const window = new MinimumWindow(1000);
  window.add(5, 0);
  window.add(50, 1000);
  window.add(100, 5000);
  t.equal(window.minimum, 5);
  window.add(100, 6000);
  t.equal(window.minimum, 100);
});
