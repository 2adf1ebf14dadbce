import t from 'tap';
import { DeliveryQueue, type Delivery } from '../../../src/hooks/delivery-queue.ts';
import { RETRY_DELAYS_MS, retryAfterMs, retryDelayMs } from '../../../src/hooks/retry-schedule.ts';

let keys = 0;
const delivery = (lane: string): Delivery => {
  const key = String(++keys).padStart(15, '0');
  return { key, id: `msg_${key}`, lane, body: '{}', attempts: 0 };
};

t.test('one lane at a time, in order; lanes do not wait for each other', async (t) => {
  const queue = new DeliveryQueue(10);
  const [a1, a2, b1] = [delivery('a'), delivery('a'), delivery('b')];
  for (const each of [a1, a2, b1]) queue.add(each);
  t.equal(queue.next(0), a1);
  t.equal(queue.next(0), b1);
  t.equal(queue.next(0), undefined, 'a2 waits for a1');
  queue.delivered(a1);
  t.equal(queue.next(0), a2);
  queue.delivered(b1);
  queue.delivered(a2);
  t.equal(queue.size, 0);
  t.equal(queue.nextDueMs(), undefined);
});

t.test('a failed delivery holds up its own lane until its retry', async (t) => {
  const queue = new DeliveryQueue(10);
  const [a1, a2, b1] = [delivery('a'), delivery('a'), delivery('b')];
  for (const each of [a1, a2, b1]) queue.add(each);
  queue.next(0);
  t.match(queue.failed(a1, 0, 0), { id: a1.id, attempts: 1 });
  t.equal(queue.next(0), b1);
  t.equal(queue.nextDueMs(), 5000);
  t.equal(queue.next(4999), undefined);
  t.match(queue.next(5000), { id: a1.id, attempts: 1 });
});

t.test('given up after the last retry; the lane continues', async (t) => {
  const queue = new DeliveryQueue(10);
  const second = delivery('a');
  queue.add(delivery('a'));
  queue.add(second);
  let nowMs = 0;
  for (const delayMs of RETRY_DELAYS_MS) {
    const retried = queue.failed(queue.next(nowMs)!, nowMs, 0);
    t.ok(retried);
    t.equal(queue.nextDueMs(), nowMs + delayMs);
    nowMs += delayMs;
  }
  t.equal(queue.failed(queue.next(nowMs)!, nowMs, 0), undefined);
  t.equal(queue.next(nowMs), second);
});

t.test('Retry-After stops all lanes', async (t) => {
  const queue = new DeliveryQueue(10);
  const [a, b] = [delivery('a'), delivery('b')];
  queue.add(a);
  queue.add(b);
  queue.next(0);
  queue.failed(a, 0, 0, 60_000);
  t.equal(queue.next(59_999), undefined);
  t.equal(queue.nextDueMs(), 60_000);
  t.match(queue.next(60_000), { id: a.id });
  t.equal(queue.next(60_000), b);
});

t.test('a full queue drops the oldest delivery that is not being sent', async (t) => {
  const queue = new DeliveryQueue(3);
  const [a1, a2, b1, a3, c1] = [delivery('a'), delivery('a'), delivery('b'), delivery('a'), delivery('c')];
  queue.add(a1);
  queue.next(0);
  t.strictSame(
    [a2, b1].flatMap((each) => queue.add(each)),
    [],
  );
  t.strictSame(queue.add(a3), [a2]);
  t.strictSame(queue.add(c1), [b1]);
  t.equal(queue.size, 3);
  queue.delivered(a1);
  t.equal(queue.next(0), a3);
  t.strictSame(
    queue
      .clear()
      .map(({ key }) => key)
      .sort(),
    [a3.key, c1.key],
  );
  t.equal(queue.size, 0);
});

t.test('the retry schedule', async (t) => {
  t.strictSame(
    [1, 2, 3, 4, 5, 6].map((attempts) => retryDelayMs(attempts, 0)),
    [5_000, 30_000, 120_000, 600_000, 3_600_000, 21_600_000],
  );
  t.equal(retryDelayMs(7, 0), undefined);
  t.equal(retryDelayMs(1, 1), 6000, 'jitter');
  const now = Date.parse('2026-01-01T00:00:00Z');
  t.equal(retryAfterMs('120', now), 120_000);
  t.equal(retryAfterMs('Thu, 01 Jan 2026 00:01:00 GMT', now), 60_000);
  t.equal(retryAfterMs('Wed, 31 Dec 2025 00:01:00 GMT', now), 0);
  t.equal(retryAfterMs('99999999', now), 86_400_000, 'a day at most');
  t.equal(retryAfterMs('soon', now), undefined);
  t.equal(retryAfterMs(undefined, now), undefined);
});
