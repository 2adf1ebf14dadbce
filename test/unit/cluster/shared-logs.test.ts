import { Redis } from 'ioredis';
import t from 'tap';
import { RedisLogs } from '../../../src/cluster/redis-logs.ts';
import type { LogEntry, LogSeed, SharedLogs } from '../../../src/store/shared-logs.ts';
import { startRedis, type TestRedis } from '../../helpers/redis-server.ts';
import { SharedLogsModel } from '../../helpers/shared-logs-model.ts';
import { waitFor } from '../../helpers/wait.ts';

/** The model of the tests of rooms and the real Redis pass the same tests, so that what those show is true of Redis. */

const TTL = 60_000;
const NAME = 'live/{room} 1';
const seed = (generation: string, position = 0, text = `state ${position}`): LogSeed => ({
  generation,
  position,
  text,
});
const append = (logs: SharedLogs, text: string, after = 0, generation = 'g') =>
  logs.append(NAME, { generation, after, text }, TTL);

function contract(name: string, subject: () => Promise<readonly [SharedLogs, SharedLogs]>): void {
  t.test(`${name}: all read the same entries in the same order`, async (t) => {
    const [a, b] = await subject();
    const heard: LogEntry[] = [];
    const end = await b.subscribe(NAME, (entry) => heard.push(entry));
    t.equal(await a.peek(NAME), undefined);
    t.equal(await append(a, 'early'), undefined, 'there is no log');
    t.strictSame(await a.read(NAME, seed('x'), 'g', TTL), { snapshot: seed('g'), entries: [] });
    t.strictSame((await b.read(NAME, seed('other'), 'other', TTL)).snapshot, seed('g'), 'the first one begins it');
    t.equal(await append(a, 'one\ntwo €'), 1);
    t.equal(await append(b, '3 4', 1), 2);
    t.equal(await append(b, 'ahead', 5), undefined, 'the log has lost what this process knows');
    t.equal(await append(b, 'foreign', 0, 'other'), undefined);
    const entries = [
      { generation: 'g', position: 1, text: 'one\ntwo €' },
      { generation: 'g', position: 2, text: '3 4' },
    ];
    await waitFor('both entries', () => heard.length === 2);
    t.strictSame(
      [...heard].sort((x, y) => x.position - y.position),
      entries,
    );
    t.strictSame(await b.peek(NAME), { snapshot: seed('g'), entries });
    end();
    await append(a, 'unheard');
    await a.saveSnapshot(NAME, seed('g', 1));
    t.strictSame(
      (await b.peek(NAME))!.entries.map(({ text }) => text),
      ['3 4', 'unheard'],
    );
    await a.saveSnapshot(NAME, seed('g', 9));
    await a.saveSnapshot(NAME, seed('other', 2));
    t.equal((await b.peek(NAME))!.snapshot.position, 1, 'neither of the future nor of another generation');
    await a.saveSnapshot(NAME, seed('g', 3));
    t.strictSame(await b.peek(NAME), { snapshot: seed('g', 3), entries: [] });
    t.equal(heard.length, 2);
  });

  t.test(`${name}: lists, and the end of a log`, async (t) => {
    const [a, b] = await subject();
    t.equal(await a.touch(NAME, 'g', 'info', TTL), undefined);
    await a.read(NAME, seed('x'), 'g', TTL);
    t.strictSame(await a.infos([NAME, 'none']), [undefined, undefined]);
    t.equal(await a.touch(NAME, 'g', 'info', TTL), 0);
    t.equal(await a.touch(NAME, 'other', 'wrong', TTL), undefined);
    t.strictSame(await b.names(), [NAME]);
    t.strictSame(await b.infos([NAME]), ['info']);
    const kept = 10 * TTL;
    t.strictSame(await b.active({ open: TTL, kept }), [NAME]);
    await a.touch(NAME, 'g', 'info', 9 * TTL);
    t.strictSame(await b.active({ open: TTL, kept }), [], 'it is kept and was not touched for a while');
    await a.touch(NAME, 'g', 'info', kept);
    t.strictSame(await b.active({ open: TTL, kept }), [NAME]);
    await append(a, 'one');
    await b.remove(NAME, 'g', 0);
    t.ok(await a.peek(NAME), 'something was appended');
    await b.remove(NAME, 'g', 1);
    t.equal(await a.peek(NAME), undefined);
    t.strictSame(await a.names(), []);
  });

  t.test(`${name}: a log that is behind is begun again by the process that knows more`, async (t) => {
    const [a, b] = await subject();
    await a.read(NAME, seed('x', 3), 'g', TTL);
    t.strictSame((await b.read(NAME, seed('g', 5), 'h', TTL)).snapshot, seed('h', 5));
    t.strictSame((await a.read(NAME, seed('g', 3), 'i', TTL)).snapshot, seed('h', 5));
    t.equal(await append(a, 'six', 5, 'h'), 6);
  });
}

let redis: TestRedis | undefined;
t.teardown(() => redis?.stop());

contract('model', async () => {
  const model = new SharedLogsModel();
  return [model.client(), model.client()];
});

contract('Redis', async () => {
  redis ??= await startRedis();
  const { url } = redis;
  const admin = new Redis(url);
  await admin.flushall();
  await admin.quit();
  const clients = [0, 1].map(() => new RedisLogs({ url, prefix: 'test:' }));
  t.teardown(() => clients.forEach((client) => void client.close()));
  for (const client of clients)
    await waitFor('Redis', () =>
      client.names().then(
        () => true,
        () => false,
      ),
    );
  return clients as [RedisLogs, RedisLogs];
});

t.test('Redis: no key without an expiry; a connection that was lost is noticed and subscribed again', async (t) => {
  const { url } = redis!;
  const admin = new Redis(url);
  t.teardown(() => admin.quit());
  await admin.flushall();
  const logs = new RedisLogs({ url, prefix: 'test:' });
  t.teardown(() => logs.close());
  const heard: string[] = [];
  let returns = 0;
  logs.onReturn(() => returns++);
  await waitFor('Redis', () =>
    logs
      .subscribe(NAME, ({ text }) => heard.push(text))
      .then(
        () => true,
        () => false,
      ),
  );
  await logs.read(NAME, seed('x'), 'g', TTL);
  await append(logs, 'one');
  await logs.saveSnapshot(NAME, seed('g', 1));
  await logs.touch(NAME, 'g', 'info', TTL);
  const keys = await admin.keys('*');
  t.equal(keys.length, 4);
  for (const key of keys) {
    const ttl = await admin.pttl(key);
    t.ok(ttl > 0 && ttl <= TTL, `${key}: ${ttl} ms`);
  }
  await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await waitFor('the return', () => returns > 0);
  await append(logs, 'two');
  await waitFor('the entry', () => heard.includes('two'));
});

for (const late of ['pubsub', 'normal'] as const)
  t.test(`Redis: the connection of type ${late} returns later than the other one`, async (t) => {
    redis ??= await startRedis();
    const admin = new Redis(redis.url);
    const logs = new RedisLogs({ url: redis.url, prefix: `late-${late}:` });
    t.teardown(async () => {
      await logs.close();
      await admin.quit();
    });
    const heard: LogEntry[] = [];
    const names = (): Promise<boolean> =>
      logs.names().then(
        () => true,
        () => false,
      );
    await waitFor('Redis', names);
    await logs.subscribe('before', (entry) => heard.push(entry));
    const subscribers = async (): Promise<number> =>
      String(await admin.client('LIST')).match(/ cmd=subscribe /g)?.length ?? 0;
    await waitFor('the subscription', async () => (await subscribers()) === 1);
    await admin.call('CLIENT', 'KILL', 'TYPE', late, 'SKIPME', 'yes');
    // The first command fails before the client knows that it has lost the connection.
    let failures = 0;
    const isLost = async (): Promise<boolean> =>
      late === 'pubsub' ? (await subscribers()) === 0 : !(await names()) && ++failures > 5;
    await waitFor('the loss', isLost, { every: 1 });
    await logs.subscribe(NAME, (entry) => heard.push(entry));
    await logs.read(NAME, seed('x'), 'g', TTL);
    await append(logs, 'one');
    await waitFor('the entry', () => heard.length === 1);
  });
