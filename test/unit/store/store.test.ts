import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { z } from 'zod';
import { createLogger } from '../../../src/observe/logger.ts';
import { MemoryStore } from '../../../src/store/memory-store.ts';
import { SqliteStore } from '../../../src/store/sqlite-store.ts';
import type { Store, StoreOptions } from '../../../src/store/store.ts';

/** What every store must do, whatever keeps the data. */

const folder = await mkdtemp(join(tmpdir(), 'store-'));
t.teardown(() => rm(folder, { recursive: true }));
let files = 0;

const implementations: Record<string, (options: StoreOptions) => Promise<Store>> = {
  memory: async (options) => new MemoryStore(options),
  sqlite: (options) => SqliteStore.create(join(folder, `${++files}.db`), options),
};

const Person = z.object({ name: z.string(), age: z.number().optional() });
const ada = { name: 'Ada', age: 36 };
const bob = { name: 'Bob' };

for (const [kind, create] of Object.entries(implementations)) {
  const setUp = async (t: Test) => {
    const lines: string[] = [];
    const logger = createLogger(
      { log_level: 'warn', log_format: 'json' },
      { destination: { write: (line) => void lines.push(line) } },
    );
    const clock = { nowMs: 1_000_000 };
    const store = await create({ logger, now: () => clock.nowMs });
    t.teardown(() => store.close());
    return { store, people: store.records('people', Person), clock, lines };
  };

  t.test(`${kind}: records are created, replaced and deleted`, async (t) => {
    const { store, people } = await setUp(t);
    t.equal(await people.get('a'), undefined);
    const version = await people.put('a', ada);
    t.strictSame(await people.get('a'), { key: 'a', value: ada, version });
    t.not(await people.put('a', bob), version);
    t.strictSame((await people.get('a'))?.value, bob);
    t.equal(await store.records('places', Person).get('a'), undefined, 'namespaces are separate');
    t.equal((await store.records('people', Person).get('a'))?.value.name, 'Bob', 'and the same for all who open them');
    t.equal(await people.delete('a'), true);
    t.equal(await people.delete('a'), false);
    t.equal(await people.get('a'), undefined);
  });

  t.test(`${kind}: a value is a copy`, async (t) => {
    const { people } = await setUp(t);
    const value = { ...ada };
    await people.put('a', value);
    value.name = 'changed';
    (await people.get('a'))!.value.name = 'changed as well';
    t.strictSame((await people.get('a'))?.value, ada);
  });

  t.test(`${kind}: of several that create a record at once one succeeds`, async (t) => {
    const { people } = await setUp(t);
    const versions = await Promise.all([1, 2, 3].map((age) => people.putIfAbsent('a', { name: 'A', age })));
    const winner = versions.findIndex((version) => version !== undefined);
    t.equal(versions.filter((version) => version !== undefined).length, 1);
    t.match(await people.get('a'), { value: { age: winner + 1 }, version: versions[winner]! });
  });

  t.test(`${kind}: a record that has changed since it was read is not replaced`, async (t) => {
    const { people } = await setUp(t);
    const first = await people.put('a', ada);
    const second = await people.putIfVersion('a', bob, first);
    t.ok(second);
    t.equal(await people.putIfVersion('a', ada, first), undefined);
    t.strictSame((await people.get('a'))?.value, bob);
    await people.delete('a');
    t.equal(await people.putIfVersion('a', ada, second!), undefined, 'nor created when it is gone');
    await people.put('a', bob);
    t.equal(await people.putIfVersion('a', ada, second!), undefined, 'a version never comes again');
  });

  t.test(`${kind}: records expire`, async (t) => {
    const { people, clock } = await setUp(t);
    const at = (ms: number): { expiresAt: Date } => ({ expiresAt: new Date(clock.nowMs + ms) });
    const version = await people.put('a', ada, at(1000));
    await people.put('b', bob, at(5000));
    clock.nowMs += 999;
    t.ok(await people.get('a'));
    t.equal(await people.putIfAbsent('a', bob), undefined);
    clock.nowMs += 1;
    t.equal(await people.get('a'), undefined);
    t.strictSame(
      (await people.list()).map(({ key }) => key),
      ['b'],
    );
    t.equal(await people.putIfVersion('a', bob, version), undefined);
    t.equal(await people.delete('a'), false);
    t.ok(await people.putIfAbsent('a', bob), 'an expired record does not count');
    await people.put('b', bob);
    clock.nowMs += 100_000;
    await people.put('c', ada);
    t.ok(await people.get('a'));
    t.ok(await people.get('b'), 'put without an expiry removes that of before');
  });

  t.test(`${kind}: lists by prefix, in the order of keys, in pages`, async (t) => {
    const { people } = await setUp(t);
    for (const key of ['b/2', 'a/1', 'b/10', 'b/~', 'b', 'c/1', 'B/1']) await people.put(key, { name: key });
    const keys = async (options?: Parameters<typeof people.list>[0]) =>
      (await people.list(options)).map(({ key }) => key);
    t.strictSame(await keys(), ['B/1', 'a/1', 'b', 'b/10', 'b/2', 'b/~', 'c/1']);
    t.strictSame(await keys({ prefix: 'b/' }), ['b/10', 'b/2', 'b/~']);
    t.strictSame(await keys({ prefix: 'b/', limit: 2 }), ['b/10', 'b/2']);
    t.strictSame(await keys({ prefix: 'b/', limit: 2, after: 'b/2' }), ['b/~']);
    t.strictSame(await keys({ descending: true, limit: 3 }), ['c/1', 'b/~', 'b/2']);
    t.strictSame(await keys({ prefix: 'b/', descending: true, after: 'b/2' }), ['b/10']);
    t.strictSame(await keys({ prefix: 'nothing' }), []);
  });

  t.test(`${kind}: keys are printable ASCII`, async (t) => {
    const { store, people } = await setUp(t);
    for (const key of ['', 'a b', 'ä', 'a\n', 'x'.repeat(201)]) {
      await t.rejects(people.get(key), TypeError);
      await t.rejects(people.put(key, ada), TypeError);
    }
    t.throws(() => store.records('no spaces', Person), TypeError);
  });

  t.test(`${kind}: a value that does not fit is reported without its content, and read as absent`, async (t) => {
    const { store, people, lines } = await setUp(t);
    await store.records('people', z.object({ title: z.string() })).put('old', { title: 'geheim' });
    await people.put('new', ada);
    t.equal(await people.get('old'), undefined);
    t.strictSame(
      (await people.list()).map(({ key }) => key),
      ['new'],
    );
    t.match(JSON.parse(lines[0]!), { place: 'people', key: 'old', fields: ['name'] });
    t.notMatch(lines.join(), /geheim/);
    await people.put('old', bob);
    t.ok(await people.get('old'), 'and can be replaced');
  });

  t.test(`${kind}: a queue gives work in the order in which it is due`, async (t) => {
    const { store, clock } = await setUp(t);
    const queue = store.queue('work', Person);
    t.strictSame(await queue.take(10, 1000), []);
    await queue.push({ name: 'later' }, new Date(clock.nowMs + 500));
    for (const name of ['first', 'second', 'third']) await queue.push({ name });
    await store.queue('other', Person).push(bob);
    t.equal(await queue.size(), 4);
    const taken = await queue.take(2, 1000);
    t.match(taken, [
      { value: { name: 'first' }, attempts: 1 },
      { value: { name: 'second' }, attempts: 1 },
    ]);
    t.match(await queue.take(10, 1000), [{ value: { name: 'third' } }]);
    t.strictSame(await queue.take(10, 1000), [], 'what was taken is hidden');
    clock.nowMs += 500;
    t.match(await queue.take(10, 1000), [{ value: { name: 'later' } }]);

    t.equal(await queue.remove(taken[0]!.id), true);
    t.equal(await queue.remove(taken[0]!.id), false);
    t.equal(await queue.reschedule(taken[1]!.id, new Date(clock.nowMs + 10_000)), true);
    t.equal(await queue.reschedule(taken[0]!.id, new Date(clock.nowMs)), false);
    clock.nowMs += 600;
    t.match(
      await queue.take(10, 100_000),
      [{ value: { name: 'third' }, attempts: 2 }],
      'what was not removed comes again',
    );
    clock.nowMs += 9400;
    t.match(await queue.take(1, 100_000), [{ value: { name: 'later' }, attempts: 2 }]);
    t.match(await queue.take(1, 100_000), [{ value: { name: 'second' }, attempts: 2 }]);
    t.equal(await queue.size(), 3);
    t.equal(await store.queue('other', Person).size(), 1);
  });

  t.test(`${kind}: work that does not fit is reported and removed`, async (t) => {
    const { store, lines } = await setUp(t);
    await store.queue('work', z.string()).push('geheim');
    const queue = store.queue('work', Person);
    await queue.push(ada);
    t.match(await queue.take(10, 1000), [{ value: ada }]);
    t.equal(await queue.size(), 1);
    t.match(JSON.parse(lines[0]!), { place: 'work', fields: ['(whole)'] });
    t.notMatch(lines.join(), /geheim/);
  });

  t.test(`${kind}: nothing works after it is closed`, async (t) => {
    const { store, people } = await setUp(t);
    const queue = store.queue('work', Person);
    await store.close();
    await store.close();
    await t.rejects(people.put('a', ada));
    await t.rejects(people.get('a'));
    await t.rejects(people.list());
    await t.rejects(queue.push(ada));
  });
}
