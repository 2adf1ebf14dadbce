import t from 'tap';
import { PictureOrder } from '../../../src/depacketize/picture-order.ts';

const PICTURE = 3000;

t.test('B-frames are noticed, once', async (t) => {
  const order = new PictureOrder();
  const start = 2 ** 32 - 2 * PICTURE;
  t.strictSame([0, 3, 1, 2, 6, 4, 5].map((picture) => order.goesBack((start + picture * PICTURE) >>> 0)), [false, false, true, false, false, false, false]);
});

t.test('pictures in order, through the end of the timestamps, and timestamps that begin anew', async (t) => {
  const order = new PictureOrder();
  for (let i = 0; i < 10; i++) t.notOk(order.goesBack((2 ** 32 - 5 * PICTURE + i * PICTURE) >>> 0));
  t.notOk(order.goesBack(2 ** 31 + 7));
  t.notOk(order.goesBack(2 ** 31 + 7 - 20 * 90_000));
  t.notOk(order.goesBack(2 ** 31 + 7 - 20 * 90_000 + PICTURE));
});
