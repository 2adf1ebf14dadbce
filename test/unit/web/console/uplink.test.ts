import t from 'tap';
import type { PublicationStats } from '../../../../src/web/client/stats.js';
import { uplinkWords } from '../../../../src/web/console/uplink.js';

const GOOD: PublicationStats = {
  ...{ bitrate: 1500, fps: 30, width: 1280, height: 720, loss: 0, roundTripMs: 20 },
  ...{ quality: 'good', limit: '' },
};

t.test('the uplink in words', async (t) => {
  t.strictSame(uplinkWords(GOOD), { tone: 'good', text: 'Uplink: good (1500 kbit/s, 0 % lost, round trip 20 ms).' });
  for (const [change, tone, text] of [
    [{ loss: 0.03, quality: 'fair', limit: 'loss' }, 'warn', /viewers may see the loss \(1500 kbit\/s, 3 % lost/],
    [{ loss: 0.12, quality: 'poor', limit: 'loss' }, 'bad', /packets are lost .*12 % lost/],
    [{ roundTripMs: 400, quality: 'fair', limit: 'delay' }, 'warn', /long .*400 ms/],
    [{ quality: 'fair', limit: 'bandwidth' }, 'warn', /too slow for this resolution/],
    [{ quality: 'fair', limit: 'cpu' }, 'warn', /This computer is too slow/],
    [{ bitrate: 0, quality: 'poor', limit: 'nothing' }, 'bad', /nothing is sent/],
  ] as const)
    t.match(uplinkWords({ ...GOOD, ...change }), { tone, text }, JSON.stringify(change));
});
