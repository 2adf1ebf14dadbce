import t from 'tap';
import { SETTLE_MS } from '../../../src/cluster/cluster-store.ts';
import { createIsGone, type Liveness } from '../../../src/cluster/node-liveness.ts';
import { NodeRegistry } from '../../../src/cluster/node-registry.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { ModelStore, RedisModel } from '../../helpers/cluster-redis-model.ts';
import { nodeRecord } from '../../helpers/node-record.ts';

const TTL = { ttlMs: 5000 };

function setUp() {
  const clock = { now: 1_700_000_000_000 };
  const redis = new RedisModel(() => clock.now);
  const [node, manager] = [new ModelStore(redis), new ModelStore(redis)];
  const answering = new Set<string>();
  const registry = new NodeRegistry({
    store: manager,
    managerId: 'm1',
    logger: silentLogger,
    random: () => 0.5,
    now: () => clock.now,
    probe: async (url) => answering.has(url),
  });
  const gone: string[] = [];
  registry.on('gone', (id) => gone.push(id));
  const pass = async (ms: number): Promise<void> => {
    for (const end = clock.now + ms; clock.now < end;) {
      clock.now += 250;
      await registry.poll();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { clock, redis, node, manager, answering, registry, gone, pass };
}

t.test(
  'nodes come and go; a node whose heartbeat is late and that does not answer is gone until its next one',
  async (t) => {
    const { node, registry, answering, gone, pass } = setUp();
    await node.beat(nodeRecord('a'), 3000);
    await registry.poll();
    await node.claim('cam', { id: 'a', instance: 'a1' }, TTL);
    t.equal(registry.get('a').url, 'http://a.example');
    t.equal((await registry.owner('cam'))?.id, 'a');
    await pass(1000);
    t.strictSame(gone, []);
    await pass(500);
    t.strictSame(gone, ['a']);
    t.throws(() => registry.get('a'), { code: 'NODE_NOT_FOUND' });
    t.throws(() => registry.place(), { code: 'CLUSTER_UNAVAILABLE' });
    t.equal(await registry.owner('cam'), undefined, 'although Redis still has it');

    await node.beat(nodeRecord('a', { beat: 2 }), 3000);
    await pass(250);
    t.equal(registry.place().id, 'a');
    t.equal((await registry.owner('cam'))?.id, 'a');
    answering.add('http://a.example');
    await pass(2500);
    t.equal(registry.place().id, 'a', 'late, but it answers');
    t.strictSame(gone, ['a']);
  },
);

t.test('a name is taken from an owner that is gone, refuses connections, or hangs', async (t) => {
  const { clock, redis, node } = setUp();
  const answers = new Map<string, Liveness>();
  const isGone = createIsGone(new ModelStore(redis), async (url) => answers.get(url)!);
  t.ok(await isGone('a'), 'it is not in the cluster');
  await node.beat(nodeRecord('a'), 3000);
  const judge = async (liveness: Liveness): Promise<boolean> => {
    answers.set('http://a.example', liveness);
    return isGone('a');
  };
  t.strictSame([await judge('answers'), await judge('silent'), await judge('refused')], [false, false, true]);
  clock.now += 1300;
  t.strictSame([await judge('answers'), await judge('silent'), await judge('refused')], [false, true, true]);
});

t.test('a node that was started again with its id is gone and there', async (t) => {
  const { node, registry, gone } = setUp();
  await node.beat(nodeRecord('a'), 3000);
  await registry.poll();
  await node.leave({ id: 'a', instance: 'a1' });
  await node.beat(nodeRecord('a', { instance: 'a2' }), 3000);
  await registry.poll();
  t.strictSame(gone, ['a']);
  t.equal(registry.find('a')?.instance, 'a2');
});

t.test('a node that has lost Redis and answers keeps its clients, and gets nothing new', async (t) => {
  const { node, registry, answering, gone, pass } = setUp();
  await node.beat(nodeRecord('a'), 3000);
  await registry.poll();
  await node.claim('cam', { id: 'a', instance: 'a1' }, TTL);
  t.equal((await registry.owner('cam'))?.id, 'a');
  answering.add('http://a.example');
  await pass(8000);
  t.strictSame(gone, []);
  t.strictSame(registry.nodes, []);
  t.strictSame(
    registry.reachable.map(({ id }) => id),
    ['a'],
    'it is asked for lists',
  );
  t.equal(registry.find('a')?.id, 'a');
  t.equal((await registry.owner('cam'))?.id, 'a', 'its stream lives, although the lease has ended');
  t.throws(() => registry.place(), { code: 'CLUSTER_UNAVAILABLE' });
  answering.clear();
  await pass(2000);
  t.strictSame(gone, ['a']);
  t.equal(await registry.owner('cam'), undefined);
});

t.test('without Redis the last known nodes and owners count', async (t) => {
  const { node, manager, registry, gone, pass } = setUp();
  await node.beat(nodeRecord('a'), 3000);
  await registry.poll();
  await node.claim('cam', { id: 'a', instance: 'a1' }, TTL);
  await registry.owner('cam');
  manager.reachable = false;
  await pass(20_000);
  t.strictSame(gone, []);
  t.equal((await registry.owner('cam'))?.id, 'a');
  await t.rejects(registry.owner('other'), { code: 'CLUSTER_UNAVAILABLE' });
  t.equal(registry.place().id, 'a');
});

t.test('a Redis that is back without its data does not make nodes go', async (t) => {
  const { node, redis, manager, registry, answering, gone, pass } = setUp();
  answering.add('http://a.example');
  await node.beat(nodeRecord('a'), 3000);
  await node.beat(nodeRecord('b'), 3000);
  await node.claim('cam', { id: 'a', instance: 'a1' }, TTL);
  await registry.poll();
  await registry.owner('cam');
  redis.empty();
  manager.reconnect();
  await registry.poll();
  t.equal(registry.nodes.length, 2);
  t.equal((await registry.owner('cam'))?.id, 'a');
  await node.beat(nodeRecord('a', { beat: 2 }), 3000);
  await pass(SETTLE_MS);
  t.strictSame(gone, ['b'], 'which did not come back');
  t.equal(await registry.owner('cam'), undefined);
});

t.test('a node at which nothing listens gets nothing until its next heartbeat', async (t) => {
  const { node, registry } = setUp();
  await node.beat(nodeRecord('a'), 3000);
  await node.beat(nodeRecord('b', { publications: 5 }), 3000);
  await registry.poll();
  await node.claim('cam', { id: 'a', instance: 'a1' }, TTL);
  registry.unreachable('a');
  t.equal(registry.place().id, 'b');
  t.equal(await registry.owner('cam'), undefined, 'its streams may be taken over');
  await node.beat(nodeRecord('a', { beat: 2 }), 3000);
  await registry.poll();
  t.equal(registry.place().id, 'a');
  t.equal((await registry.owner('cam'))?.id, 'a');
});
