import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { ClusterNode } from '../../../src/cluster/cluster-node.ts';
import { answersAt, livenessOf } from '../../../src/cluster/node-liveness.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { ModelStore, RedisModel } from '../../helpers/cluster-redis-model.ts';
import { nodeRecord } from '../../helpers/node-record.ts';

t.test('a node that says that it has failed counts as one that hangs', async (t) => {
  let status = 200;
  const server = createServer((_, answer) => answer.writeHead(status, { connection: 'close' }).end('{}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.strictSame([await answersAt(url), await livenessOf(url)], [true, 'answers']);
  status = 503;
  t.strictSame([await answersAt(url), await livenessOf(url)], [false, 'silent']);
  await new Promise((resolve) => server.close(resolve));
  t.strictSame([await answersAt(url), await livenessOf(url)], [false, 'refused']);
});

t.test('a node whose media workers hang gives its streams up in the second round, and comes back', async (t) => {
  const redis = new RedisModel(() => Date.now());
  const store = new ModelStore(redis);
  const { id, instance, publications, pushes, encoders, cpu, overloaded, drain, toMove, ...about } = nodeRecord('a');
  const events: string[] = [];
  let workersAnswer = true;
  const node = new ClusterNode({
    store,
    identity: { id, instance },
    about,
    directory: {
      renew: async () => void events.push('renew'),
      expire: () => undefined,
      giveUpAll: ({ code }) => void events.push(`give up: ${code}`),
      close: () => undefined,
    },
    workersAnswer: async () => workersAnswer,
    load: () => ({ publications, pushes, encoders, cpu, overloaded, drain, toMove }),
    isDraining: () => false,
    logger: silentLogger,
  });
  await node.tick();
  workersAnswer = false;
  await node.tick();
  t.strictSame([events, node.state], [['renew'], 'silent'], 'a moment of silence is nothing');
  t.ok(await store.node('a'));
  await node.tick();
  await node.tick();
  t.strictSame([events, node.state], [['renew', 'give up: NODE_LOST'], 'failed']);
  t.equal(await store.node('a'), undefined, 'it has left the cluster');
  workersAnswer = true;
  await node.tick();
  t.strictSame([events.at(-1), node.state], ['renew', 'in-service']);
  t.ok(await store.node('a'));
});
