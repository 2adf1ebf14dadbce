import t from 'tap';
import { reorderWaitMs } from '../../../src/renditions/track-input.ts';

t.test('a missing packet is waited for as long as two retransmissions take', async (t) => {
  const UNKNOWN = 0;
  t.strictSame([1, 30, 100, 1000].map(reorderWaitMs), [82, 140, 280, 400]);
  t.equal(reorderWaitMs(UNKNOWN), 180, 'as for a typical round trip');
});
