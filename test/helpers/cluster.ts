import { randomBytes } from 'node:crypto';
import { BenchProcess } from '../../bench/child-process.ts';
import { startGateway, type SettingsOverrides, type TestGateway } from './gateway.ts';
import type { PersistentPublisherRequests } from './persistent-publishers-main.ts';
import { startRedis, type TestRedis } from './redis-server.ts';
import { freePort } from './server-process.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';
import { waitFor } from './wait.ts';

/** A cluster of real processes on loopback: Redis, nodes and managers. */
export interface TestCluster {
  readonly redis: TestRedis;
  readonly nodes: TestGateway[];
  readonly managers: TestGateway[];
  /** Between each node and Redis. */
  readonly links: TcpProxy[];
  /** Starts another process of this node, which has ended or was killed. */
  restartNode(index: number): Promise<void>;
  /** Ends this manager, and starts another process of it at the same ports. */
  restartManager(index: number): Promise<void>;
  /** The node that owns the stream, by what the nodes say. */
  ownerOf(stream: string): Promise<number | undefined>;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  readonly nodes: number;
  readonly managers?: number;
  readonly settings?: SettingsOverrides;
  /** Besides `settings`, of each node. */
  readonly nodeSettings?: readonly SettingsOverrides[];
}

export async function startCluster({
  nodes,
  managers = 1,
  settings = {},
  nodeSettings = [],
}: ClusterOptions): Promise<TestCluster> {
  const redis = await startRedis();
  const shared: SettingsOverrides = {
    cluster_prefix: 'test:',
    state_key: randomBytes(32).toString('base64'),
    ...settings,
  };
  const links = await Promise.all(Array.from({ length: nodes }, () => startTcpProxy(redis.port)));
  const startNode = (index: number): Promise<TestGateway> =>
    startGateway({
      ...shared,
      cluster_redis_url: `redis://127.0.0.1:${links[index]!.port}`,
      node_id: `node-${index}`,
      ...nodeSettings[index],
    });
  const started = await Promise.all(Array.from({ length: nodes }, (_, index) => startNode(index)));
  const startManager = (ports: SettingsOverrides): Promise<TestGateway> =>
    startGateway({ ...shared, cluster_redis_url: redis.url, role: 'manager', ...ports });
  const startedManagers = await Promise.all(
    Array.from({ length: managers }, async () => startManager({ 'http.port': await freePort() })),
  );
  const cluster: TestCluster = {
    redis,
    nodes: started,
    managers: startedManagers,
    links,
    async restartNode(index) {
      // What it has left behind; that it was killed is no failure.
      await started[index]!.stop().catch(() => undefined);
      started[index] = await startNode(index);
    },
    async restartManager(index) {
      const manager = startedManagers[index]!;
      await manager.stop();
      startedManagers[index] = await startManager({ 'http.port': manager.ports.http, 'ws.port': manager.ports.ws });
    },
    async ownerOf(stream) {
      for (const [index, node] of started.entries()) {
        // A node that ends refuses.
        const answer = await node.http('/api/v1/streams').catch(() => undefined);
        const streams = (answer?.status === 200 ? answer.body : []) as { name: string }[];
        if (streams.some(({ name }) => name === stream)) return index;
      }
      return undefined;
    },
    async stop() {
      const ends = [...startedManagers, ...started].map((one) => one.stop().catch((error: Error) => error));
      const failures = (await Promise.all(ends)).filter((one) => one instanceof Error);
      await Promise.all(links.map((link) => link.close()));
      await redis.stop();
      const unexpected = failures.filter(({ message }) => !message.includes('ended with code null'));
      if (unexpected.length > 0) throw unexpected[0]!;
    },
  };
  for (const manager of startedManagers)
    await waitFor('all nodes at the manager', async () => {
      const { body } = await manager.http('/api/v1/nodes');
      return (body as unknown[]).length === nodes;
    });
  return cluster;
}

/** WHIP publishers that publish again whenever their stream is gone, in a process of their own. */
export class PersistentPublishers {
  readonly #process: BenchProcess<PersistentPublisherRequests>;

  private constructor(process: BenchProcess<PersistentPublisherRequests>) {
    this.#process = process;
  }

  static async start(): Promise<PersistentPublishers> {
    return new PersistentPublishers(await BenchProcess.start('../test/helpers/persistent-publishers-main.ts'));
  }

  publish(stream: string, managers: readonly TestGateway[]): Promise<void> {
    return this.#process.ask('publish', { stream, urls: managers.map(({ httpUrl }) => httpUrl) });
  }

  /** How often it has published, and the path of its session. */
  async state(stream: string): Promise<{ readonly published: number; readonly location: string }> {
    return this.#process.ask('state', stream);
  }

  unpublish(stream: string): Promise<void> {
    return this.#process.ask('unpublish', stream);
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }
}
