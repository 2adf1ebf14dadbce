import t from 'tap';
import { SendQueue } from '../../../src/rooms/doors/send-queue.ts';
import { waitFor } from '../../helpers/wait.ts';

const MEGABYTE = 1024 * 1024;

/** A send that takes a millisecond. */
const slow = (done: () => void) => (): void => {
  const until = performance.now() + 1;
  while (performance.now() < until);
  done();
};

void t.test('sends are spread over ticks, in their order', async (t) => {
  const queue = new SendQueue();
  const sent: number[] = [];
  for (let index = 0; index < 40; index++)
    queue.add(
      1,
      slow(() => sent.push(index)),
    );
  t.same(sent, []);
  let ticks = 0;
  while (sent.length < 40) {
    await new Promise((resolve) => setImmediate(resolve));
    ticks++;
  }
  t.ok(ticks >= 4, `${ticks} ticks`);
  queue.add(1, () => sent.push(40));
  await waitFor('a later one', () => sent.length === 41, { every: 1 });
  t.same(
    sent,
    Array.from({ length: 41 }, (_, index) => index),
  );
});

void t.test('what waits is bounded in number and bytes: the oldest are sent at once', async (t) => {
  for (const [count, bytes, expected] of [
    [10_010, 1, 10],
    [40, MEGABYTE, 8],
  ] as const) {
    const queue = new SendQueue();
    const sent: number[] = [];
    for (let index = 0; index < count; index++) queue.add(bytes, () => sent.push(index));
    t.equal(sent.length, expected);
    await waitFor('the others', () => sent.length === count, { every: 1 });
    t.ok(sent.every((value, index) => value === index));
  }
});

void t.test('flush sends everything at once, and the queue goes on', async (t) => {
  const queue = new SendQueue();
  const sent: string[] = [];
  queue.add(1, () => sent.push('first'));
  queue.flush();
  t.same(sent, ['first']);
  queue.add(1, () => sent.push('second'));
  await waitFor('the second', () => sent.length === 2, { every: 1 });
});
