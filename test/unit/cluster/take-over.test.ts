import t from 'tap';
import { ClusterDirectory } from '../../../src/cluster/cluster-directory.ts';
import { createIsGone } from '../../../src/cluster/node-liveness.ts';
import { StoredPushes } from '../../../src/cluster/stored-pushes.ts';
import { takeOverAfterMs, TakeOver } from '../../../src/cluster/take-over.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { SecretBox } from '../../../src/store/secret-box.ts';
import { ModelStore, RedisModel } from '../../helpers/cluster-redis-model.ts';
import { nodeRecord } from '../../helpers/node-record.ts';

const ORDER = { streamName: 'cam', rtmpUrl: 'rtmp://example.com/live/key', standby: {} };

function setUp() {
  const clock = { now: 1_700_000_000_000 };
  const redis = new RedisModel(() => clock.now);
  const node = (id: string, fails = false) => {
    const store = new ModelStore(redis);
    const identity = { id, instance: `${id}1` };
    const directory = new ClusterDirectory({
      store,
      identity,
      graceMs: 60_000,
      acceptsOffline: false,
      isGone: createIsGone(store, async () => 'silent'),
      logger: silentLogger,
      now: () => clock.now,
      wallClock: () => clock.now,
      sleep: async () => undefined,
    });
    const stored = new StoredPushes({
      store,
      epochOf: (stream) => directory.epochOf(stream),
      box: new SecretBox(Buffer.alloc(32, 1)),
      logger: silentLogger,
    });
    const taken: string[] = [];
    const takeOver = new TakeOver({
      store,
      directory,
      stored,
      standby: {
        take: async (stream, pushes, lease) => {
          if (fails) throw new Error('no standby');
          taken.push(`${stream} ${pushes.map(({ id: push }) => push).join()} ${lease.epoch}`);
          return true;
        },
      },
      probe: async () => 'silent',
      graceMs: 60_000,
      self: id,
      logger: silentLogger,
    });
    return { store, directory, stored, taken, takeOver };
  };
  return { clock, redis, node };
}

t.test('the pushes of a lost node are taken over once, by the node whose turn it is', async (t) => {
  const { clock, node } = setUp();
  const [a, b, c] = [node('a'), node('b'), node('c')];
  const lease = await a.directory.claim('cam');
  await a.stored.started({ id: 'p1', order: ORDER, muted: false });
  const beat = async (): Promise<void> => {
    await b.store.beat(nodeRecord('b'), 3000);
    await c.store.beat(nodeRecord('c'), 3000);
  };
  await a.store.beat(nodeRecord('a'), 3000);
  await beat();
  for (let second = 0; second < 3; second++) {
    await a.directory.renew();
    await a.store.beat(nodeRecord('a'), 3000);
    clock.now += 1000;
    await Promise.all([b.takeOver.look(), c.takeOver.look()]);
  }
  t.strictSame([b.taken, c.taken], [[], []], 'not while its owner lives');
  const lostAt = clock.now - 1000;
  // Node a is killed.
  while (b.taken.length + c.taken.length === 0 && clock.now - lostAt < 10_000) {
    clock.now += 250;
    await beat();
    await Promise.all([c.takeOver.look(), b.takeOver.look()]);
  }
  const order = takeOverAfterMs('cam', [nodeRecord('b'), nodeRecord('c')], 'b') === 3000 ? [b, c] : [c, b];
  t.equal(order[0]!.taken.length, 1, 'the first in the order');
  t.equal(order[1]!.taken.length, 0);
  t.ok(clock.now - lostAt <= 3250, 'as soon as the node is gone');
  t.match(order[0]!.taken[0], /^cam p1 \d+$/);
  t.ok(Number(order[0]!.taken[0]!.split(' ')[2]) > lease.epoch);
  await a.directory.renew();
  t.ok(lease.lost.aborted, 'the lost node, when it runs again, learns it');
  for (let second = 0; second < 5; second++) {
    clock.now += 1000;
    await beat();
    await order[0]!.directory.renew();
    await Promise.all([c.takeOver.look(), b.takeOver.look()]);
  }
  t.equal(b.taken.length + c.taken.length, 1);
});

t.test('a node that fails to take them leaves them to the next one', async (t) => {
  const { clock, node } = setUp();
  const [a, b, c] = [node('a'), node('b', true), node('c', false)];
  await a.directory.claim('cam');
  await a.stored.started({ id: 'p1', order: ORDER, muted: false });
  clock.now += 6000;
  await b.store.beat(nodeRecord('b'), 3000);
  await c.store.beat(nodeRecord('c'), 3000);
  await b.takeOver.look();
  t.equal(b.directory.size, 0, 'the name is given back');
  await c.takeOver.look();
  t.match(c.taken, [/^cam p1/]);
  t.equal(c.takeOver.taken, 1);
});

t.test('a stream without pushes is not taken', async (t) => {
  const { clock, node } = setUp();
  const [a, b] = [node('a'), node('b')];
  await a.directory.claim('cam');
  await a.stored.started({ id: 'p1', order: ORDER, muted: false });
  a.stored.ended('p1', 'TERMINATED');
  await a.stored.flush();
  clock.now += 6000;
  await b.store.beat(nodeRecord('b'), 3000);
  await b.takeOver.look();
  t.strictSame([b.taken, b.directory.size], [[], 0]);
});
