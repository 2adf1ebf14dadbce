import t from 'tap';
import { TokenBucket } from '../../../src/net/token-bucket.ts';

t.test('a burst passes, a flood does not, and tokens return with time', async (t) => {
  const bucket = new TokenBucket({ burst: 3, perSecond: 2 });
  t.same([bucket.take(0), bucket.take(0), bucket.take(0), bucket.take(0)], [true, true, true, false]);
  t.equal(bucket.take(400), false);
  t.equal(bucket.take(600), true);
  t.equal(bucket.take(600), false);
  t.same(
    [bucket.take(60_000), bucket.take(60_000), bucket.take(60_000), bucket.take(60_000)],
    [true, true, true, false],
    'never more than the burst',
  );
});
