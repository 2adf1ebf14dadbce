import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { atEndOfTurn, atVeryEndOfTurn, turnMs } from '../../src/turn.ts';

t.test('tasks run at the end of the turn in their order, the last one after them', async (t) => {
  const ran: string[] = [];
  atVeryEndOfTurn(() => void ran.push('replaced'));
  atEndOfTurn(() => void ran.push('a'));
  atVeryEndOfTurn(() => void ran.push('last'));
  atEndOfTurn(() => void ran.push('b'));
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
  atVeryEndOfTurn(() => void ran.push('last'));
  atEndOfTurn(() => {
    ran.push('first');
    atEndOfTurn(() => void ran.push('added'));
  });
  atEndOfTurn(() => void ran.push('second'));
  await turn();
  t.strictSame(ran, ['first', 'second', 'added', 'last']);
});

t.test('a task that throws takes no other with it', async (t) => {
  for (const others of [['after', 'last'], ['after'], ['last']]) {
    const ran: string[] = [];
    const thrown: unknown[] = [];
    atEndOfTurn(() => void ran.push('before'));
    atEndOfTurn(() => {
      throw new Error('of the task');
    });
    if (others.includes('after')) atEndOfTurn(() => void ran.push('after'));
    if (others.includes('last')) atVeryEndOfTurn(() => void ran.push('last'));
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
  const first = turnMs();
  const until = performance.now() + 3;
  while (performance.now() < until);
  t.equal(turnMs(), first, 'however long it takes');
  let ofTask = NaN;
  atEndOfTurn(() => (ofTask = turnMs()));
  await turn();
  t.equal(ofTask, first, 'at its end too');
  const next = turnMs();
  t.ok(next >= until, 'read anew');
  t.ok(Math.abs(next - performance.now()) < 1000, 'by the clock of `performance.now()`');
});

t.test('a task that throws does not leave its time to the next turn', async (t) => {
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', () => {});
  const first = turnMs();
  atEndOfTurn(() => {
    throw new Error('of the task');
  });
  await turn();
  for (const listener of listeners) process.on('uncaughtException', listener);
  t.not(turnMs(), first);
});
