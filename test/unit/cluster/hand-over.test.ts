import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { ClusterDirectory } from '../../../src/cluster/cluster-directory.ts';
import { GiveStreams } from '../../../src/cluster/give-streams.ts';
import { StoredPushes } from '../../../src/cluster/stored-pushes.ts';
import { TakeStreams } from '../../../src/cluster/take-streams.ts';
import type { GatewayError } from '../../../src/errors.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import type { PushReach } from '../../../src/outputs/push/leg-state.ts';
import { SecretBox } from '../../../src/store/secret-box.ts';
import { ModelStore, RedisModel } from '../../helpers/cluster-redis-model.ts';
import { nodeRecord } from '../../helpers/node-record.ts';

const ORDER = { streamName: 'cam', rtmpUrl: 'rtmp://example.com/live/key', standby: {} };

function setUp() {
  const clock = { now: 1_700_000_000_000 };
  const redis = new RedisModel(() => clock.now);
  const node = (id: string) => {
    const store = new ModelStore(redis);
    const now = () => clock.now;
    const directory = new ClusterDirectory({
      store,
      identity: { id, instance: `${id}1` },
      graceMs: 60_000,
      acceptsOffline: false,
      isGone: async () => false,
      logger: silentLogger,
      now,
      wallClock: now,
      sleep: async () => undefined,
    });
    const stored = new StoredPushes({
      store,
      epochOf: (stream) => directory.epochOf(stream),
      box: new SecretBox(Buffer.alloc(32, 1)),
      logger: silentLogger,
    });
    const streams = { hasStandby: true, pushing: ['p1'], closing: Promise.resolve() };
    const draining = { moving: true };
    const giving = new GiveStreams({
      store,
      directory,
      streams: {
        list: () => [...directory.owned.keys()].map((name) => ({ name, hasStandby: streams.hasStandby })),
        isStored: (name) => stored.isStored(name),
        pushing: () => streams.pushing,
        closed: () => streams.closing,
      },
      isMoving: () => draining.moving,
      self: id,
      logger: silentLogger,
      now,
    });
    /** What the pushes of this node have come to, and what was done with them. */
    const reaches = new Map<string, PushReach>();
    const done: string[] = [];
    const fault: { prepare?: Error } = {};
    const taking = new TakeStreams({
      store,
      directory,
      stored,
      pushes: {
        prepare: async (push) => {
          if (fault.prepare) throw fault.prepare;
          reaches.set(push.id, 'connecting');
        },
        reachOf: (push) => reaches.get(push),
        keep: async (push) => {
          await directory.claim(push.order.streamName);
          done.push(`keep ${push.id}${push.muted ? ' muted' : ''}`);
          await stored.started(push);
          reaches.delete(push.id);
        },
        drop: (push) => void (reaches.delete(push) && done.push(`drop ${push}`)),
        retry: (push) => void done.push(`retry ${push}`),
      },
      self: id,
      logger: silentLogger,
      now,
    });
    return { id, store, directory, stored, streams, draining, giving, taking, reaches, done, fault };
  };
  return { clock, redis, node };
}

/** Node `a` drains and owns `cam` with the push `p1`; the others are in service. */
async function drainOne(...others: string[]) {
  const { clock, redis, node } = setUp();
  const a = node('a');
  const takers = others.map((id) => node(id));
  const lease = await a.directory.claim('cam');
  await a.stored.started({ id: 'p1', order: ORDER, muted: false });
  const alive = new Set(others);
  let rounds = 0;
  /** A tenth of a second of all nodes that live. */
  const round = async (times = 1): Promise<void> => {
    for (let time = 0; time < times; time++) {
      clock.now += 100;
      await a.store.beat(nodeRecord('a', { state: 'draining' }), 3000);
      for (const id of alive) await a.store.beat(nodeRecord(id), 3000);
      await a.giving.tick();
      for (const one of takers) if (alive.has(one.id)) await one.taking.tick();
      for (let index = 0; index < 5; index++) await turn();
      if (++rounds % 10 > 0 || !a.store.reachable) continue;
      await Promise.all([a, ...takers.filter(({ id }) => alive.has(id))].map(({ directory }) => directory.renew()));
    }
  };
  return { clock, redis, a, takers, lease, alive, round };
}

const owner = async ({ store }: { readonly store: ModelStore }) => (await store.owner('cam'))?.node;

t.test('the new connection first, then the lease, then the end of the old one', async (t) => {
  const { a, takers, lease, round } = await drainOne('b');
  const b = takers[0]!;
  const closing = Promise.withResolvers<void>();
  a.streams.closing = closing.promise;
  await round(5);
  t.strictSame([...b.reaches], [['p1', 'connecting']]);
  t.strictSame([await owner(a), lease.lost.aborted, a.giving.state, a.giving.toMove], ['a', false, 'moving', 1]);
  // Its former node is asked to mute it meanwhile.
  await a.stored.started({ id: 'p1', order: ORDER, muted: true });
  b.reaches.set('p1', 'pushing');
  await round(2);
  t.strictSame([await owner(a), b.done], ['b', ['keep p1 muted']]);
  t.equal((lease.lost.reason as GatewayError).code, 'SHUTTING_DOWN', 'the publisher is told to publish again');
  t.equal(a.giving.toMove, 1, 'its connections are not closed yet');
  closing.resolve();
  await round(1);
  t.strictSame([a.giving.toMove, a.giving.moved, b.taking.taken], [0, 1, 1]);
  t.strictSame(await b.store.offers(), []);
  t.equal((await b.stored.read('cam')).length, 1);
  t.equal(a.directory.lost, 0, 'it is not counted as a loss');
});

t.test('a server that holds the name: the old connection ends first', async (t) => {
  const { a, takers, round } = await drainOne('b');
  const b = takers[0]!;
  const closing = Promise.withResolvers<void>();
  a.streams.closing = closing.promise;
  await round(3);
  b.reaches.set('p1', 'held');
  await round(4);
  t.strictSame(b.done, ['keep p1'], 'it waits until the connection is closed');
  closing.resolve();
  await round(2);
  t.strictSame(b.done, ['keep p1', 'retry p1']);
});

t.test('a push that its destination does not receive need not be received from the new node', async (t) => {
  const { a, takers, round } = await drainOne('b');
  a.streams.pushing = [];
  await round(5);
  t.strictSame(takers[0]!.done, ['keep p1']);
});

t.test('a node that cannot connect leaves the stream where it is, and to the next node', async (t) => {
  const { a, takers, lease, alive, round } = await drainOne('b', 'c');
  await round(10);
  const first = takers.find(({ reaches }) => reaches.size > 0)!;
  const second = takers.find((one) => one !== first)!;
  t.strictSame(second.reaches.size, 0, 'one node at a time');
  first.reaches.delete('p1');
  await round(50);
  t.strictSame([await owner(a), lease.lost.aborted], ['a', false]);
  t.strictSame([...second.reaches], [['p1', 'connecting']]);
  // It dies: its acceptance ends.
  alive.delete(second.id);
  await round(40);
  t.strictSame([await owner(a), first.reaches.size], ['a', 0], 'the first one leaves it alone for a while');
  await round(300);
  t.strictSame([...first.reaches], [['p1', 'connecting']]);
  first.reaches.set('p1', 'pushing');
  await round(3);
  t.equal(await owner(a), first.id);
});

t.test('a node that cannot start a push leaves the stream where it is', async (t) => {
  const { a, takers, round } = await drainOne('b');
  a.streams.pushing = [];
  takers[0]!.fault.prepare = new Error('full');
  await round(20);
  t.strictSame([await owner(a), takers[0]!.done, takers[0]!.directory.size], ['a', [], 0]);
});

t.test('a node that connects for too long gives the stream up', async (t) => {
  const { a, takers, round } = await drainOne('b');
  await round(130);
  t.strictSame([await owner(a), takers[0]!.done], ['a', ['drop p1']]);
});

t.test(
  'the draining node dies after its offer: the new node takes the stream, or leaves it to the take-over',
  async (t) => {
    for (const isReady of [true, false]) {
      const { clock, a, takers, round } = await drainOne('b');
      const b = takers[0]!;
      await round(3);
      if (isReady) b.reaches.set('p1', 'pushing');
      for (let index = 0; index < 50; index++) {
        clock.now += 100;
        await b.store.beat(nodeRecord('b'), 3000);
        await b.taking.tick();
        for (let turns = 0; turns < 5; turns++) await turn();
      }
      t.strictSame(b.done, isReady ? ['keep p1'] : ['drop p1']);
      t.equal((await b.store.pushes('cam')).size, 1);
      await a.directory.renew();
      t.equal(a.directory.size, isReady ? 0 : 1, 'and the dead node, if it was only asleep, learns it');
    }
  },
);

t.test('a push that is terminated meanwhile is not kept', async (t) => {
  const { a, takers, round } = await drainOne('b');
  await round(3);
  a.stored.ended('p1', 'TERMINATED');
  await a.stored.flush();
  takers[0]!.reaches.set('p1', 'pushing');
  await round(2);
  t.strictSame(takers[0]!.done, ['drop p1']);
  t.equal(takers[0]!.directory.size, 0, 'the name is free');
});

t.test('no other node: the streams go on here, until one can take them', async (t) => {
  const { a, lease, alive, takers, round } = await drainOne('b');
  alive.delete('b');
  await round(30);
  t.strictSame([a.giving.state, a.giving.toMove, lease.lost.aborted], ['blocked', 1, false]);
  t.strictSame(await a.store.offers(), []);
  alive.add('b');
  await round(15);
  takers[0]!.reaches.set('p1', 'pushing');
  await round(2);
  t.strictSame([a.giving.state, await owner(a)], ['moving', 'b']);
});

t.test('without Redis a drain goes on as without other nodes', async (t) => {
  const { a, takers, lease, round, clock } = await drainOne('b');
  await round(3);
  a.store.reachable = false;
  for (let index = 0; index < 30; index++) {
    clock.now += 100;
    await a.giving.tick();
    await takers[0]!.taking.tick();
    for (let turns = 0; turns < 5; turns++) await turn();
  }
  t.strictSame([a.giving.state, lease.lost.aborted], ['blocked', false]);
  t.strictSame(takers[0]!.done, ['drop p1'], 'the offer has ended');
  a.store.reachable = true;
  await round(15);
  t.equal(a.giving.state, 'moving');
});

t.test('Redis loses its data: nothing is taken before the pushes are stored again', async (t) => {
  const { redis, a, takers, lease, round } = await drainOne('b');
  redis.empty();
  a.store.reconnect();
  await round(20);
  t.strictSame([takers[0]!.reaches.size, lease.lost.aborted], [0, false]);
  await a.directory.renew();
  await a.stored.flush();
  await round(10);
  t.strictSame([...takers[0]!.reaches], [['p1', 'connecting']]);
});

t.test('move=false: nothing is offered, and what was offered is withdrawn', async (t) => {
  const { a, takers, lease, round } = await drainOne('b');
  await round(3);
  a.draining.moving = false;
  await round(3);
  t.strictSame(takers[0]!.done, ['drop p1']);
  takers[0]!.reaches.clear();
  await round(20);
  t.strictSame([a.giving.state, a.giving.toMove, takers[0]!.reaches.size], ['running-out', 0, 0]);
  t.notOk(lease.lost.aborted);
});

t.test('a stream without standby is let go as soon as managers know that the node drains', async (t) => {
  const { a, takers, lease, round } = await drainOne('b');
  a.streams.hasStandby = false;
  await round(14);
  t.notOk(lease.lost.aborted);
  await round(10);
  t.equal((lease.lost.reason as GatewayError).code, 'SHUTTING_DOWN');
  t.strictSame([await owner(a), takers[0]!.done, a.giving.moved], [undefined, [], 1], 'the name is free');
  t.equal((await a.store.pushes('cam')).size, 1, 'its pushes start again where the publisher comes back');
});

t.test('a node that is to drain itself takes nothing more', async (t) => {
  const { a, takers, round } = await drainOne('b');
  await round(3);
  takers[0]!.taking.stop();
  t.strictSame(takers[0]!.done, ['drop p1']);
  t.equal(await owner(a), 'a');
});
