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

t.test('borrow(): how long until the tokens are there', async (t) => {
  const bucket = new TokenBucket({ burst: 100, perSecond: 1000 });
  t.same([bucket.borrow(0, 50), bucket.borrow(0, 50), bucket.borrow(0, 500), bucket.borrow(0, 500)], [0, 0, 500, 1000]);
  t.equal(bucket.borrow(1000, 10), 10, 'what was borrowed comes back first');
  t.equal(bucket.take(1010), false);
  t.same([bucket.borrow(60_000, 100), bucket.borrow(60_000, 1)], [0, 1], 'never more than the burst');
});
