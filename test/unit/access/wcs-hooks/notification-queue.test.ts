import t from 'tap';
import { NotificationQueue } from '../../../../src/access/wcs-hooks/notification-queue.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('in order in each lane, lanes beside each other, bounded', async (t) => {
  const queue = new NotificationQueue({ limit: 5, parallel: 2 });
  const began: string[] = [];
  const ends = new Map<string, () => void>();
  const add = (lane: string, name: string): boolean =>
    queue.add(lane, async () => {
      began.push(name);
      await new Promise<void>((resolve) => ends.set(name, resolve));
    });
  const end = async (name: string): Promise<void> => {
    ends.get(name)!();
    await turn();
  };
  t.strictSame([add('a', 'a1'), add('a', 'a2'), add('b', 'b1'), add('c', 'c1'), add('a', 'a3')], Array(5).fill(true));
  t.equal(add('d', 'd1'), false, 'full');
  t.strictSame(began, ['a1', 'b1'], 'two at a time, one of each lane');
  await end('a1');
  t.strictSame(began, ['a1', 'b1', 'c1'], 'lanes take turns');
  await end('b1');
  t.strictSame(began, ['a1', 'b1', 'c1', 'a2']);
  await end('c1');
  t.equal(queue.size, 2);
  let settled = false;
  const settling = queue.settle(60_000).then(() => (settled = true));
  await end('a2');
  t.equal(settled, false);
  await end('a3');
  await settling;
  t.equal(queue.size, 0);
  await queue.settle(60_000);
});

t.test('settle does not wait for ever, and clear drops what waits', async (t) => {
  const queue = new NotificationQueue({ limit: 5, parallel: 1 });
  let ended = (): void => undefined;
  const began: string[] = [];
  queue.add('a', () => (began.push('a1'), new Promise((resolve) => (ended = resolve))));
  queue.add('a', async () => void began.push('a2'));
  queue.add('b', async () => void began.push('b1'));
  await queue.settle(1);
  queue.clear();
  ended();
  await turn();
  t.strictSame(began, ['a1']);
  t.equal(queue.size, 0);
  queue.add('a', async () => void began.push('a3'));
  queue.add('b', async () => void began.push('b2'));
  await queue.settle(60_000);
  t.strictSame(began, ['a1', 'a3', 'b2'], 'lanes are not stuck');
});
