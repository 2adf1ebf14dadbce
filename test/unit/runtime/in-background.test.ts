import t from 'tap';
import { backgroundFailures, guarded, inBackground } from '../../../src/runtime/in-background.ts';

t.test('a failure is reported, and ends what it belongs to', async (t) => {
  const reported: unknown[] = [];
  const listener = (error: unknown): void => void reported.push(error);
  backgroundFailures.on('failure', listener);
  t.teardown(() => backgroundFailures.off('failure', listener));
  const ended: unknown[] = [];
  const end = (error: unknown): void => void ended.push(error);
  const [inPromise, inListener, inAsyncListener] = [new Error('1'), new Error('2'), new Error('3')];
  inBackground(undefined);
  inBackground(Promise.resolve(1), end);
  inBackground(Promise.reject(inPromise), end);
  guarded(end, (ok: boolean) => ok)(true);
  guarded(end, () => {
    throw inListener;
  })();
  guarded(end, async () => {
    throw inAsyncListener;
  })();
  await new Promise(setImmediate);
  t.strictSame(new Set(reported), new Set([inPromise, inListener, inAsyncListener]));
  t.strictSame(new Set(ended), new Set(reported));
});
