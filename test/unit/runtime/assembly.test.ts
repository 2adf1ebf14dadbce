import t from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { Assembly } from '../../../src/runtime/assembly.ts';

const part = (name: string, closed: string[]) => ({ name, close: () => closed.push(name) });

t.test('parts close in the opposite order; those that were added as the last ones close last', async (t) => {
  const closed: string[] = [];
  const assembly = new Assembly();
  const app = assembly.addLast(part('app', closed));
  t.equal(app.name, 'app', 'returns the part');
  t.equal(assembly.add(undefined), undefined);
  assembly.add(part('store', closed));
  assembly.onClose(async () => {
    await new Promise(setImmediate);
    closed.push('streams');
  });
  assembly.add(part('sockets', closed));
  assembly.addLast(part('second app', closed));
  await Promise.all([assembly.close(), assembly.close()]);
  t.strictSame(closed, ['sockets', 'streams', 'store', 'app', 'second app']);
});

t.test('a failure skips no part and is reported', async (t) => {
  const closed: string[] = [];
  const assembly = new Assembly();
  assembly.add(part('store', closed));
  assembly.onClose(() => {
    throw new Error('refused');
  });
  await t.rejects(assembly.close(), { message: 'refused' });
  t.strictSame(closed, ['store']);
});

t.test('build(): what was added is closed when the rest cannot be built', async (t) => {
  const closed: string[] = [];
  const building = Assembly.build(silentLogger, async (assembly) => {
    assembly.add(part('store', closed));
    assembly.onClose(() => {
      closed.push('broken');
      throw new Error('not the reason');
    });
    throw new Error('port in use');
  });
  await t.rejects(building, { message: 'port in use' });
  t.strictSame(closed, ['broken', 'store']);
  t.equal(await Assembly.build(silentLogger, async () => 7), 7);
});
