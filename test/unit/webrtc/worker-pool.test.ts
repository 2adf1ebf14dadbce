import t from 'tap';
import { ntpMilliseconds } from '../../../src/webrtc/producer-track.ts';
import { respawnDelayMs } from '../../../src/webrtc/worker-pool.ts';

t.test('a worker that dies repeatedly is restarted after growing delays', async (t) => {
  t.same([1, 2, 3, 4].map(respawnDelayMs), [100, 200, 400, 800]);
  t.equal(respawnDelayMs(0), 100);
  t.equal(respawnDelayMs(1000), 10_000);
});

t.test('NTP time stamps are unsigned', async (t) => {
  t.equal(ntpMilliseconds(0, 0), 0);
  t.equal(ntpMilliseconds(1, 2 ** 31), 1500);
  // flatbuffers may return the upper half as negative numbers.
  t.equal(ntpMilliseconds(-1, -(2 ** 31)), 4_294_967_295_500);
});
