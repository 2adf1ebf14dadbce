import t from 'tap';
import { withoutSignalHandlers } from '../../../src/runtime/signal-handlers.ts';

t.test('only handlers that were added meanwhile are removed', async (t) => {
  const own = (): void => {};
  process.on('SIGTERM', own);
  t.teardown(() => void process.removeListener('SIGTERM', own));
  const before = [process.listeners('SIGINT'), process.listeners('SIGTERM')];
  const add = (): number => {
    process.once('SIGINT', () => {});
    process.once('SIGTERM', () => {});
    process.on('SIGTERM', () => {});
    return 7;
  };
  t.equal(withoutSignalHandlers(add), 7);
  t.strictSame([process.listeners('SIGINT'), process.listeners('SIGTERM')], before);
  t.throws(() =>
    withoutSignalHandlers(() => {
      add();
      throw new Error('failed');
    }),
  );
  t.strictSame([process.listeners('SIGINT'), process.listeners('SIGTERM')], before);
});
