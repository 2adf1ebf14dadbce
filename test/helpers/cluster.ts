import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { startGateway, type SettingsOverrides, type TestGateway } from './gateway.ts';
import { startRedis, type TestRedis } from './redis-server.ts';
import { RtpPublisher } from './rtp-publisher.ts';
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
  /** Starts another process of this node. */
  restartNode(index: number): Promise<void>;
  /** The node that owns the stream, by what the nodes say. */
  ownerOf(stream: string): Promise<number | undefined>;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  readonly nodes: number;
  readonly managers?: number;
  readonly settings?: SettingsOverrides;
}

export async function startCluster({ nodes, managers = 1, settings = {} }: ClusterOptions): Promise<TestCluster> {
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
    });
  const started = await Promise.all(Array.from({ length: nodes }, (_, index) => startNode(index)));
  const startedManagers = await Promise.all(
    Array.from({ length: managers }, async () =>
      startGateway({ ...shared, cluster_redis_url: redis.url, role: 'manager', 'http.port': await freePort() }),
    ),
  );
  const cluster: TestCluster = {
    redis,
    nodes: started,
    managers: startedManagers,
    links,
    async restartNode(index) {
      started[index] = await startNode(index);
    },
    async ownerOf(stream) {
      for (const [index, node] of started.entries()) {
        const { body } = await node.http('/api/v1/streams').catch(() => ({ body: [] }));
        if ((body as { name: string }[]).some(({ name }) => name === stream)) return index;
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

/** An Opus frame of silence, 20 ms. */
const SILENCE = Buffer.from('f8fffe', 'hex');

/** A WHIP publisher of silence that publishes again, through any of the managers, whenever its stream is gone. */
export class PersistentPublisher {
  readonly #managers: readonly TestGateway[];
  readonly stream: string;
  #publisher: RtpPublisher | undefined;
  #stopped = false;
  #timestamp = 0;
  #loop: Promise<void>;
  /** Times at which it was live again. */
  readonly published: number[] = [];

  constructor(managers: readonly TestGateway[], stream: string) {
    this.#managers = managers;
    this.stream = stream;
    this.#loop = this.#run();
  }

  /** The location of the present session. */
  get location(): string {
    return this.#publisher?.location ?? '';
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#publisher?.stop();
  }

  async #run(): Promise<void> {
    const sending = setInterval(() => {
      this.#timestamp += 960;
      try {
        this.#publisher?.send(SILENCE, this.#timestamp);
      } catch {
        // It is being closed.
      }
    }, 20);
    for (let turn = 0; !this.#stopped; turn++) {
      const { httpUrl } = this.#managers[turn % this.#managers.length]!;
      try {
        this.#publisher = await RtpPublisher.start({ httpUrl, stream: this.stream, codec: 'opus' });
      } catch {
        await sleep(100);
        continue;
      }
      this.published.push(performance.now());
      // As a browser learns it from ICE: here by asking for the session.
      while (!this.#stopped && (await this.#lives(httpUrl))) await sleep(100);
      this.#publisher.stop();
      this.#publisher = undefined;
    }
    clearInterval(sending);
  }

  async #lives(httpUrl: string): Promise<boolean> {
    try {
      const answer = await fetch(httpUrl + this.location, { signal: AbortSignal.timeout(1000) });
      return answer.status < 400;
    } catch {
      return false;
    }
  }
}
