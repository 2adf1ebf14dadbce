import t from 'tap';
import { Acknowledgements } from '../../../src/rtmp/acknowledgements.ts';

void t.test('counts what the peer has received', async (t) => {
  const acknowledgements = new Acknowledgements();
  t.same([acknowledgements.known, acknowledgements.acknowledged], [false, 0]);
  acknowledgements.take(1000, 3000);
  acknowledgements.take(3000, 3000);
  acknowledgements.take(3500, 5000);
  t.same([acknowledgements.known, acknowledgements.acknowledged, acknowledgements.longestStep], [true, 3500, 2000]);
});

void t.test('sequence numbers wrap at 2^32', async (t) => {
  const acknowledgements = new Acknowledgements();
  acknowledgements.take(0xffff0000, 0xffffffff);
  acknowledgements.take(0x00010000, 2 ** 32 + 0x20000);
  t.same([acknowledgements.known, acknowledgements.acknowledged], [true, 2 ** 32 + 0x10000]);
});

void t.test('a peer whose count restarts at 0 is alive, and never ahead of what was sent', async (t) => {
  const acknowledgements = new Acknowledgements();
  const step = 131_072;
  let sent = 0;
  // nginx-rtmp sets its count to 0 at 0xf0000000 bytes: three times here.
  for (let total = step, counted = 0; total < 3.2 * 0xf0000000; total += step) {
    sent = total + 10 * step;
    counted += step;
    if (counted >= 0xf0000000) counted = 0;
    else acknowledgements.take(counted, sent);
    if (acknowledgements.acknowledged > total) t.fail('ahead');
    if (total - acknowledgements.acknowledged > 3 * step) t.fail(`behind at ${total}`);
  }
  t.ok(acknowledgements.known);
  t.ok(acknowledgements.longestStep <= 2 * step);
});

void t.test('a peer that sends increments instead of totals counts as one that never acknowledges', async (t) => {
  const acknowledgements = new Acknowledgements();
  acknowledgements.take(131_100, 1_000_000);
  acknowledgements.take(131_500, 1_000_000);
  acknowledgements.take(131_200, 1_000_000);
  t.equal(acknowledgements.known, false);
  acknowledgements.take(131_900, 1_000_000);
  t.equal(acknowledgements.known, false, 'for ever');
});

void t.test('a peer cannot acknowledge more than was sent', async (t) => {
  const acknowledgements = new Acknowledgements();
  acknowledgements.take(0xffffffff, 5000);
  t.ok(acknowledgements.acknowledged <= 5000);
});
