import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Settings } from '../config/schema.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Assembly } from '../runtime/assembly.ts';
import { NodeRegistry } from './node-registry.ts';
import { RedisStore } from './redis-store.ts';

/** Milliseconds to wait for Redis at the start. */
const REDIS_START_MS = 3000;

/** Starts what a manager knows of the nodes of its cluster, and registers its metrics. */
export async function createRegistry(
  { cluster_redis_url: url, cluster_prefix: prefix }: Settings,
  { metrics, logger }: { readonly metrics: Metrics; readonly logger: Logger },
  assembly: Assembly,
): Promise<NodeRegistry> {
  const store = assembly.add(new RedisStore({ url, prefix }));
  store.on('available', (available) => {
    if (available) logger.info('cluster: Redis answers again');
    else logger.error('cluster: Redis does not answer; clients go to the nodes that were known last');
  });
  // A Redis that is away is reported by `available`; the manager waits for it.
  await store.waitUntilAvailable(REDIS_START_MS).catch(() => undefined);
  const managerId = `${hostname()}-${randomBytes(4).toString('hex')}`;
  const registry = assembly.add(new NodeRegistry({ store, managerId, logger }));
  await registry.start();
  metrics.gauge('gateway_cluster_redis_up', '1 while Redis answers.', () => (store.available ? 1 : 0));
  metrics.gauge('gateway_cluster_nodes', 'Nodes that the manager knows.', () => registry.nodes.length);
  return registry;
}
