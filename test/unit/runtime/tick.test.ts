import { setImmediate as tick } from 'node:timers/promises';
import t from 'tap';
import { atEndOfTick, tickMs } from '../../../src/runtime/tick.ts';

/** Runs `body` while uncaught exceptions are collected instead of ending the process. */
async function catchUncaught(body: () => Promise<void>): Promise<string[]> {
  const thrown: string[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', (error) => thrown.push(error.message));
  await body();
  process.removeAllListeners('uncaughtException');
  for (const listener of listeners) process.on('uncaughtException', listener);
  return thrown;
}

t.test('tasks run once, at the end of the tick, in order', async (t) => {
  const ran: string[] = [];
  atEndOfTick(() => void ran.push('a'));
  atEndOfTick(() => void ran.push('b'));
  process.nextTick(() => void ran.push('next tick'));
  await Promise.resolve();
  t.strictSame(ran, [], 'not before');
  await tick();
  t.strictSame(ran, ['next tick', 'a', 'b']);
  await tick();
  t.equal(ran.length, 3, 'once');
});

t.test('a task that a task adds runs in the same tick', async (t) => {
  const ran: string[] = [];
  atEndOfTick(() => {
    ran.push('first');
    atEndOfTick(() => void ran.push('added'));
  });
  atEndOfTick(() => void ran.push('second'));
  await tick();
  t.strictSame(ran, ['first', 'second', 'added']);
});

t.test('a task that throws does not stop the others', async (t) => {
  const ran: string[] = [];
  const thrown = await catchUncaught(async () => {
    atEndOfTick(() => void ran.push('before'));
    atEndOfTick(() => {
      throw new Error('of the task');
    });
    atEndOfTick(() => void ran.push('after'));
    await tick();
    await tick();
  });
  t.strictSame(ran, ['before', 'after']);
  t.strictSame(thrown, ['of the task']);
});

t.test('a tick has one time, the next tick another', async (t) => {
  const first = tickMs();
  const until = performance.now() + 3;
  while (performance.now() < until);
  t.equal(tickMs(), first, 'however long the tick takes');
  let ofTask = NaN;
  atEndOfTick(() => (ofTask = tickMs()));
  await tick();
  t.equal(ofTask, first, 'at its end too');
  const next = tickMs();
  t.ok(next >= until, 'read again');
  t.ok(Math.abs(next - performance.now()) < 1000, 'on the clock of `performance.now()`');
});

t.test('a task that throws does not leave its time to the next tick', async (t) => {
  const first = tickMs();
  await catchUncaught(async () => {
    atEndOfTick(() => {
      throw new Error('of the task');
    });
    await tick();
  });
  t.not(tickMs(), first);
});
