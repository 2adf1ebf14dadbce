import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { atEndOfTick, atVeryEndOfTick, tickMs } from '../../../src/runtime/tick.ts';

t.test('tasks run at the end of the turn in their order, the last one after them', async (t) => {
  const ran: string[] = [];
  atVeryEndOfTick(() => void ran.push('replaced'));
  atEndOfTick(() => void ran.push('a'));
  atVeryEndOfTick(() => void ran.push('last'));
  atEndOfTick(() => void ran.push('b'));
  process.nextTick(() => void ran.push('tick'));
  await Promise.resolve();
  t.strictSame(ran, [], 'not before');
  await turn();
  t.strictSame(ran, ['tick', 'a', 'b', 'last']);
  await turn();
  t.equal(ran.length, 4, 'once');
});

t.test('what a task adds belongs to the same turn', async (t) => {
  const ran: string[] = [];
  atVeryEndOfTick(() => void ran.push('last'));
  atEndOfTick(() => {
    ran.push('first');
    atEndOfTick(() => void ran.push('added'));
  });
  atEndOfTick(() => void ran.push('second'));
  await turn();
  t.strictSame(ran, ['first', 'second', 'added', 'last']);
});

t.test('a task that throws takes no other with it', async (t) => {
  for (const others of [['after', 'last'], ['after'], ['last']]) {
    const ran: string[] = [];
    const thrown: unknown[] = [];
    atEndOfTick(() => void ran.push('before'));
    atEndOfTick(() => {
      throw new Error('of the task');
    });
    if (others.includes('after')) atEndOfTick(() => void ran.push('after'));
    if (others.includes('last')) atVeryEndOfTick(() => void ran.push('last'));
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => thrown.push(error.message));
    await turn();
    await turn();
    for (const listener of listeners) process.on('uncaughtException', listener);
    t.strictSame(ran, ['before', ...others]);
    t.strictSame(thrown, ['of the task']);
  }
});

t.test('a turn has one time, and the next one another', async (t) => {
  const first = tickMs();
  const until = performance.now() + 3;
  while (performance.now() < until);
  t.equal(tickMs(), first, 'however long it takes');
  let ofTask = NaN;
  atEndOfTick(() => (ofTask = tickMs()));
  await turn();
  t.equal(ofTask, first, 'at its end too');
  const next = tickMs();
  t.ok(next >= until, 'read anew');
  t.ok(Math.abs(next - performance.now()) < 1000, 'by the clock of `performance.now()`');
});

t.test('a task that throws does not leave its time to the next turn', async (t) => {
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', () => {});
  const first = tickMs();
  atEndOfTick(() => {
    throw new Error('of the task');
  });
  await turn();
  for (const listener of listeners) process.on('uncaughtException', listener);
  t.not(tickMs(), first);
});
