import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { atEndOfTurn, atVeryEndOfTurn } from '../../src/turn.ts';

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

t.test('what a task adds belongs to the next turn', async (t) => {
  const ran: string[] = [];
  atEndOfTurn(() => {
    ran.push('first');
    atEndOfTurn(() => void ran.push('second'));
  });
  await turn();
  t.strictSame(ran, ['first']);
  await turn();
  t.strictSame(ran, ['first', 'second']);
});

t.test('a task that throws takes no other with it', async (t) => {
  const ran: string[] = [];
  const thrown: unknown[] = [];
  atEndOfTurn(() => void ran.push('before'));
  atEndOfTurn(() => {
    throw new Error('of the task');
  });
  atEndOfTurn(() => void ran.push('after'));
  atVeryEndOfTurn(() => void ran.push('last'));
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', (error) => thrown.push(error.message));
  await turn();
  await turn();
  for (const listener of listeners) process.on('uncaughtException', listener);
  t.strictSame(ran, ['before', 'after', 'last']);
  t.strictSame(thrown, ['of the task']);
});
