import t from 'tap';
import { closeAll } from '../../../src/runtime/close-all.ts';

const failing = (name: string, closed: string[]) => ({
  close: async () => {
    closed.push(name);
    throw new Error(name);
  },
});

t.test('all parts are closed in order, each after the one before', async (t) => {
  const closed: string[] = [];
  const slow = { close: () => new Promise<void>((resolve) => setImmediate(() => resolve(void closed.push('slow')))) };
  await closeAll([slow, { close: () => closed.push('quick') }]);
  t.strictSame(closed, ['slow', 'quick']);
});

t.test('a failure skips no part and is reported', async (t) => {
  const closed: string[] = [];
  await t.rejects(closeAll([failing('a', closed), { close: () => closed.push('b') }]), { message: 'a' });
  t.strictSame(closed, ['a', 'b']);
});

t.test('several failures are reported together', async (t) => {
  const closed: string[] = [];
  const thrower = {
    close: () => {
      throw new Error('thrown');
    },
  };
  const parts = [failing('a', closed), thrower, failing('b', closed)];
  const error = (await closeAll(parts).catch((failure: unknown) => failure)) as AggregateError;
  t.strictSame(closed, ['a', 'b']);
  t.strictSame(
    error.errors.map(({ message }) => message),
    ['a', 'thrown', 'b'],
  );
});
