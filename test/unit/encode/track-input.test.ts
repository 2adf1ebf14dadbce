import t from 'tap';
import { reorderWaitMs } from '../../../src/encode/track-input.ts';

t.test('a missing packet is waited for as long as sending it again takes', async (t) => {
  const UNKNOWN = 0;
  t.strictSame([1, 30, 100, 1000].map(reorderWaitMs), [60, 90, 230, 400]);
  t.equal(reorderWaitMs(UNKNOWN), 130, 'as for an ordinary line');
});
