import t from 'tap';
import { QueueDelay } from '../../../src/runtime/queue-delay.ts';

const create = () => new QueueDelay({ lateMs: 1000, recoveredMs: 250 });

t.test('the delay is what the last answer took, or the age of a probe that is still unanswered', async (t) => {
  const delay = create();
  t.equal(delay.delayMs(0), 0, 'nothing is known');
  delay.sent(100);
  t.equal(delay.delayMs(130), 30);
  delay.answered(140);
  t.equal(delay.delayMs(500), 40);
  t.equal(delay.waitingMs(500), 0, 'nothing is known to wait');
  delay.sent(600);
  t.equal(delay.delayMs(610), 40, 'until the next probe takes longer');
  t.equal(delay.waitingMs(610), 10);
  t.equal(delay.delayMs(700), 100);
  delay.reset();
  t.equal(delay.delayMs(800), 0);
});

t.test('messages are late after a second, until they wait for a quarter of one', async (t) => {
  const delay = create();
  for (const sentMs of [0, 500, 1000]) delay.sent(sentMs);
  t.notOk(delay.isLate(1000));
  t.ok(delay.isLate(1001));
  delay.answered(1100);
  t.ok(delay.isLate(1100), 'the next probe is 600 ms old');
  delay.answered(1110);
  t.notOk(delay.isLate(1110), 'the last one 110 ms');
  t.notOk(delay.isLate(1900), 'late again only after a second');
  t.ok(delay.isLate(2001));
});

t.test('without an unanswered probe no message is late: after a stall nothing is known of its age', async (t) => {
  const delay = create();
  delay.sent(0);
  t.ok(delay.isLate(5000));
  delay.answered(5000);
  t.notOk(delay.isLate(5000));
  delay.answered(6000);
  t.notOk(delay.isLate(6000), 'an answer without a probe changes nothing');
});
