import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import t from 'tap';
import type { ClusterStore, NodeRecord } from '../../../src/cluster/cluster-store.ts';
import { RedisStore } from '../../../src/cluster/redis-store.ts';
import { ModelStore, RedisModel } from '../../helpers/cluster-redis-model.ts';
import { startRedis, type TestRedis } from '../../helpers/redis-server.ts';
import { waitFor } from '../../helpers/wait.ts';

/** The in-memory model of the simulation and the real Redis pass the same tests, so that what the simulation shows is true of Redis. */

const A = { id: 'a', instance: 'a1' };
const B = { id: 'b', instance: 'b1' };
const TTL = { ttlMs: 5000 };

const node = (id: string, more: Partial<NodeRecord> = {}): NodeRecord => ({
  id,
  instance: `${id}1`,
  url: `http://${id}.example:8081`,
  wsUrl: `ws://${id}.example:8080`,
  region: 'eu',
  group: '',
  state: 'in-service',
  version: '1.0.0',
  capacity: 100,
  publications: 1,
  pushes: 2,
  encoders: 3,
  cpu: 0.25,
  overloaded: false,
  drain: 'moving',
  toMove: 4,
  beat: 7,
  startedAt: 1_700_000_000_000,
  ...more,
});

/** Two connections to the same data. */
interface Subject {
  readonly a: ClusterStore;
  readonly b: ClusterStore;
  /** Milliseconds until each key expires. */
  readonly timesToLive: () => Promise<Iterable<readonly [string, number]>>;
  readonly empty: () => Promise<void>;
}

function contract(name: string, subject: () => Promise<Subject>): void {
  t.test(`${name}: the first value of a key is kept for all, until it expires`, async (t) => {
    const { a, b, timesToLive } = await subject();
    t.equal(await a.keepFirst('token {1}', '5', 60_000), '5');
    t.equal(await b.keepFirst('token {1}', '9', 90_000), '5');
    t.equal(await b.keepFirst('token {2}', '9', 30_000), '9');
    for (const [key, ttl] of await timesToLive()) t.ok(ttl > 0 && ttl <= 60_000, key);
  });

  t.test(`${name}: a note is what was written last, for all nodes, until it expires`, async (t) => {
    const { a, b, timesToLive } = await subject();
    t.equal(await a.noted('host {1}'), undefined);
    await a.note('host {1}', 'first', 60_000);
    await b.note('host {1}', 'second', 30_000);
    t.equal(await a.noted('host {1}'), 'second');
    t.equal(await a.noted('host {2}'), undefined);
    for (const [key, ttl] of await timesToLive()) t.ok(ttl > 0 && ttl <= 30_000, key);
  });

  t.test(`${name}: a name has one owner, whose epoch is greater than that of every earlier one`, async (t) => {
    const { a, b } = await subject();
    const first = await a.claim('cam', A, TTL);
    t.match(first, { granted: true, epoch: Number });
    const epoch = first.granted ? first.epoch : 0;
    t.strictSame(await a.claim('cam', A, TTL), { granted: true, epoch }, 'a claim of the owner has the same epoch');
    t.strictSame(await b.claim('cam', B, TTL), { granted: false, owner: { node: 'a', instance: 'a1', epoch } });
    t.strictSame(await b.owner('cam'), { node: 'a', instance: 'a1', epoch });
    await b.release('cam', B, epoch);
    await a.release('cam', A, epoch - 1);
    t.ok(await b.owner('cam'), 'only its owner can free it');
    await a.release('cam', A, epoch);
    t.equal(await b.owner('cam'), undefined);
    const second = await b.claim('cam', B, TTL);
    t.ok(second.granted && second.epoch > epoch);
  });

  t.test(`${name}: a name with braces, spaces and line breaks`, async (t) => {
    const { a, b } = await subject();
    for (const stream of ['}', '{}', '{a}b', 'ä ö', '\'"\\', 'x'.repeat(256), '\ud800']) {
      const claim = await a.claim(stream, A, TTL);
      t.ok(claim.granted, JSON.stringify(stream));
      t.match(await b.claim(stream, B, TTL), { granted: false, owner: { node: 'a' } });
    }
  });

  t.test(`${name}: a lease of a lost owner is taken with its epoch only, and the loser learns it`, async (t) => {
    const { a, b } = await subject();
    const lost = await a.claim('cam', A, TTL);
    const epoch = lost.granted ? lost.epoch : 0;
    t.notOk((await b.claim('cam', B, { ...TTL, replace: epoch - 1 })).granted);
    const taken = await b.claim('cam', B, { ...TTL, replace: epoch });
    t.ok(taken.granted && taken.epoch > epoch);
    t.match(await a.hold('cam', A, epoch, 5000), { held: false, owner: { node: 'b' } });
    await b.release('cam', B, taken.granted ? taken.epoch : 0);
    t.strictSame(
      await a.hold('cam', A, epoch, 5000),
      { held: false, owner: undefined },
      'also after the other one has ended',
    );
  });

  t.test(`${name}: a process that was started again takes the leases of its earlier process`, async (t) => {
    const { a } = await subject();
    const before = await a.claim('cam', A, TTL);
    const after = await a.claim('cam', { id: 'a', instance: 'a2' }, TTL);
    t.ok(before.granted && after.granted && after.epoch > before.epoch);
    t.match(await a.hold('cam', A, before.granted ? before.epoch : 0, 5000), { held: false });
  });

  t.test(
    `${name}: leases are written again after a loss of all data, and of two owners the higher epoch stays`,
    async (t) => {
      const { a, b, empty } = await subject();
      const first = await a.claim('cam', A, TTL);
      const epoch = first.granted ? first.epoch : 0;
      await empty();
      t.strictSame(await a.hold('cam', A, epoch, 5000), { held: true });
      t.match(await b.owner('cam'), { node: 'a', epoch });
      // Accepted without Redis.
      t.strictSame(await b.hold('cam', B, epoch + 5, 5000), { held: true });
      t.match(await a.hold('cam', A, epoch, 5000), { held: false, owner: { node: 'b', epoch: epoch + 5 } });
      t.match(await a.hold('cam', A, epoch + 5, 5000), { held: false }, 'of two equal epochs the first stays');
      t.strictSame(await b.hold('cam', B, epoch + 5, 5000), { held: true });
      await b.release('cam', B, epoch + 5);
      const next = await a.claim('cam', A, TTL);
      t.ok(next.granted && next.epoch > epoch + 5, 'epochs continue above one that was given without Redis');
    },
  );

  t.test(`${name}: nodes come, change, and leave; an id belongs to one process`, async (t) => {
    const { a, b } = await subject();
    t.ok(await a.beat(node('a'), 3000));
    t.ok(await b.beat(node('b', { region: 'us', overloaded: true, state: 'draining' }), 3000));
    t.strictSame(await a.node('b'), node('b', { region: 'us', overloaded: true, state: 'draining' }));
    t.strictSame((await b.nodes()).map(({ id }) => id).sort(), ['a', 'b']);
    t.ok((await b.heartbeatAgeMs('a'))! < 1000);
    t.equal(await b.heartbeatAgeMs('c'), undefined);
    t.notOk(await b.beat(node('a', { instance: 'a2', publications: 50 }), 3000));
    t.equal((await b.node('a'))?.publications, 1);
    await b.leave({ id: 'a', instance: 'a2' });
    t.ok(await b.node('a'), 'another process cannot remove it');
    await a.leave(A);
    t.equal(await b.node('a'), undefined);
    t.strictSame(
      (await b.nodes()).map(({ id }) => id),
      ['b'],
    );
  });

  t.test(`${name}: stored pushes belong to the owner of the name`, async (t) => {
    const { a, b } = await subject();
    const first = await a.claim('cam', A, TTL);
    const epoch = first.granted ? first.epoch : 0;
    t.ok(await a.putPush('cam', epoch, 'p1', 'sealed-1'));
    t.ok(await a.putPush('cam', epoch, 'p2', 'sealed-2'));
    t.notOk(await b.putPush('cam', epoch - 1, 'p3', 'stale'));
    t.strictSame([...(await b.pushes('cam'))].sort(), [
      ['p1', 'sealed-1'],
      ['p2', 'sealed-2'],
    ]);
    t.ok(await a.removePush('cam', epoch, 'p1'));
    await a.release('cam', A, epoch);
    t.ok(await a.removePush('cam', epoch, 'p2'), 'the last owner may still remove them');
    t.equal((await b.pushes('cam')).size, 0);
    const second = await b.claim('cam', B, TTL);
    t.ok(await b.putPush('cam', second.granted ? second.epoch : 0, 'p4', 'sealed-4'));
    t.notOk(await a.removePush('cam', epoch, 'p4'));
    t.notOk(await a.putPush('cam', epoch, 'p5', 'stale'));
    t.strictSame([...(await b.pushes('cam')).keys()], ['p4']);
    t.match(await a.abandoned(0), [{ stream: 'cam', forMs: Number }]);
    t.strictSame(await a.abandoned(60_000), []);
  });

  t.test(`${name}: an offer is accepted by one node, and ends with the epoch that it is of`, async (t) => {
    const { a, b } = await subject();
    const lease = await a.claim('cam', A, TTL);
    const epoch = lease.granted ? lease.epoch : 0;
    t.equal(await b.accept('cam', 'b'), undefined, 'nothing is offered');
    t.strictSame(await a.offer('cam', { epoch, pushing: ['p1', 'p2'] }), { state: 'open' });
    t.match(await b.offers(), [{ stream: 'cam', forMs: Number }]);
    t.strictSame(await b.accept('cam', 'b'), { epoch, pushing: ['p1', 'p2'] });
    t.equal(await b.accept('cam', 'c'), undefined, 'another node has accepted it');
    t.strictSame(await a.offer('cam', { epoch, pushing: [] }), { state: 'accepted', by: 'b' });
    t.strictSame(await b.accept('cam', 'b'), { epoch, pushing: [] }, 'the node that has accepted it sees changes');
    const taken = await b.claim('cam', B, { ...TTL, replace: epoch });
    t.ok(taken.granted);
    t.strictSame(await a.offer('cam', { epoch, pushing: [] }), { state: 'taken' });
    t.ok(await b.accept('cam', 'b'), 'it stands until it is withdrawn');
    await a.withdraw('cam', epoch - 1);
    t.equal((await b.offers()).length, 1, 'only by the epoch that it is of');
    await a.withdraw('cam', epoch);
    t.equal(await b.accept('cam', 'b'), undefined);
    t.strictSame(await b.offers(), []);
  });

  t.test(`${name}: every key expires`, async (t) => {
    const { a, timesToLive } = await subject();
    const claim = await a.claim('cam', A, TTL);
    const epoch = claim.granted ? claim.epoch : 0;
    await a.putPush('cam', epoch, 'p1', 'sealed');
    await a.hold('cam', A, epoch, 5000);
    await a.beat(node('a'), 3000);
    t.equal(await a.countManagers('m1'), 1);
    t.equal(await a.countManagers('m2'), 2);
    t.equal(await a.countManagers('m1'), 2);
    await a.offer('cam', { epoch, pushing: [] });
    await a.accept('cam', 'b');
    const keys = [...(await timesToLive())];
    t.equal(keys.length, 10, 'lease, epoch, pushes, node, offer, its acceptance and the four indexes');
    for (const [key, ttl] of keys) t.ok(ttl > 0 && ttl <= 3_600_000, `${key} ${ttl}`);
  });
}

let now = 1_700_000_000_000;
contract('model', async () => {
  const redis = new RedisModel(() => ++now);
  return {
    a: new ModelStore(redis),
    b: new ModelStore(redis),
    timesToLive: async () => redis.timesToLive,
    empty: async () => redis.empty(),
  };
});

let server: TestRedis;
let direct: Redis;
const stores: RedisStore[] = [];
let count = 0;
t.test('real Redis starts', async () => {
  server = await startRedis();
  direct = new Redis(server.url);
});
t.teardown(async () => {
  for (const store of stores) await store.close();
  direct.disconnect();
  await server.stop();
});
const openStore = (prefix: string, url = server.url): RedisStore => {
  const store = new RedisStore({ url, prefix });
  stores.push(store);
  return store;
};

t.test('on real Redis', async () => {
  contract('Redis', async () => {
    const prefix = `t${++count}:`;
    const keys = () => direct.keys(`${prefix}*`);
    const [a, b] = [openStore(prefix), openStore(prefix)];
    await Promise.all([a.waitUntilAvailable(5000), b.waitUntilAvailable(5000)]);
    return {
      a,
      b,
      timesToLive: async () => Promise.all((await keys()).map(async (key) => [key, await direct.pttl(key)] as const)),
      empty: async () => void (await direct.flushall()),
    };
  });
});

t.test('Redis: leases and heartbeats end by themselves', async (t) => {
  const store = openStore('ttl:');
  await store.waitUntilAvailable(5000);
  await store.claim('cam', A, { ttlMs: 50 });
  await store.beat(node('a'), 50);
  await sleep(80);
  t.equal(await store.owner('cam'), undefined);
  t.strictSame(await store.nodes(), []);
});

t.test('Redis: what is not a node is left out', async (t) => {
  const store = openStore('odd:');
  await store.waitUntilAvailable(5000);
  await store.beat(node('a'), 3000);
  await store.beat(node('b'), 3000);
  await direct.hset('odd:node:{b}', 'capacity', 'many', 'url', 'no URL');
  t.strictSame(
    (await store.nodes()).map(({ id }) => id),
    ['a'],
  );
});

t.test('Redis: away, hanging and restarted', async (t) => {
  const store = openStore('away:');
  await store.waitUntilAvailable(5000);
  let returns = 0;
  store.onReturn(() => returns++);
  const claim = await store.claim('cam', A, TTL);
  t.ok(claim.granted);

  server.freeze();
  await t.rejects(store.owner('cam'), 'a Redis that hangs is not waited for');
  t.notOk(store.available);
  server.resume();
  await waitFor('an answer', async () => (await store.owner('cam')) !== undefined);
  t.ok(store.available);
  t.equal(returns, 1);

  await server.kill();
  await t.rejects(store.owner('cam'));
  await server.restart();
  await waitFor('the connection', async () => await store.owner('cam').then(() => true));
  t.ok(returns >= 2);
  t.equal(await store.owner('cam'), undefined, 'the data is gone');
  t.strictSame(await store.hold('cam', A, claim.granted ? claim.epoch : 0, 5000), { held: true });
});
