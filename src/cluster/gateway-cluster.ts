import { randomBytes } from 'node:crypto';
import { availableParallelism, hostname } from 'node:os';
import type { Settings } from '../config/schema.ts';
import { toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import { standbyDefaults } from '../outputs/push/standby-defaults.ts';
import type { StartRequest, TransponderControl } from '../outputs/push/transponder-control.ts';
import type { StreamRegistry } from '../streams/stream-registry.ts';
import { ClusterDirectory } from './cluster-directory.ts';
import { ClusterNode, type NodeLoad } from './cluster-node.ts';
import { LEASE_TTL_MS, type NodeIdentity } from './cluster-store.ts';
import { registerMetrics } from './cluster-metrics.ts';
import { createIsGone, livenessOf } from './node-liveness.ts';
import { PushRestore } from './push-restore.ts';
import type { ZodType } from 'zod';
import type { SharedLogs } from '../store/shared-logs.ts';
import type { KeptRecords } from '../store/store.ts';
import { RedisLogs } from './redis-logs.ts';
import { RedisStore } from './redis-store.ts';
import { StoredPushes, type Sealer } from './stored-pushes.ts';
import { StoringPushes, type ContinuablePushes } from './storing-pushes.ts';
import { StreamMoves, type NodeDuty } from './stream-moves.ts';
import { TakeOver } from './take-over.ts';
import { inBackground } from '../runtime/in-background.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

export interface GatewayClusterOptions {
  readonly settings: Settings;
  /** Encrypts with `state_key`. */
  readonly box: Sealer;
  readonly metrics: Metrics;
  readonly version: string;
  readonly logger: Logger;
}

/** What a node joins with, when its ports are open. */
export interface JoinOptions {
  readonly httpPort: number;
  readonly httpsPort?: number | undefined;
  readonly wsPort: number;
  readonly wssPort?: number | undefined;
  readonly workersAnswer: () => Promise<boolean>;
  readonly load: () => Omit<NodeLoad, 'publications' | 'drain' | 'toMove'>;
  readonly isDraining: () => boolean;
  /** Whether the streams of a node that drains are to go to other nodes. */
  readonly isMoving: () => boolean;
}

/** Publications for which one core suffices with a margin: docs/performance.md. */
const PUBLICATIONS_PER_CORE = 80;
/** Milliseconds between two looks for pushes of lost nodes. */
const TAKE_OVER_LOOK_MS = 250;
/** Milliseconds between two steps of a hand-over. */
const MOVE_LOOK_MS = 100;
/** Milliseconds to wait for Redis at the start, so that a mistake in its URL is seen at once. */
const REDIS_START_MS = 3000;

/** Texts by key, which expire. */
export interface ClusterNotes {
  read(key: string): Promise<string | undefined>;
  write(key: string, text: string, ttlMs: number): Promise<void>;
}

/** What makes a gateway a node of a cluster. */
export class GatewayCluster {
  readonly directory: ClusterDirectory;
  readonly #options: GatewayClusterOptions;
  readonly #store: RedisStore;
  readonly #identity: NodeIdentity;
  readonly #stored: StoredPushes;
  #restore: PushRestore | undefined;
  #takeOver: TakeOver | undefined;
  #moves: StreamMoves | undefined;
  #looking: NodeJS.Timeout | undefined;
  #moving: NodeJS.Timeout | undefined;
  #node: ClusterNode | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: GatewayClusterOptions) {
    const { settings, box, metrics, logger } = options;
    this.#options = options;
    this.#identity = { id: settings.node_id || hostname(), instance: randomBytes(8).toString('hex') };
    this.#store = new RedisStore({
      url: settings.cluster_redis_url,
      prefix: settings.cluster_prefix,
      pushTtlMs: LEASE_TTL_MS + Math.max(1000, settings.publisher_resume_window_ms),
    });
    this.#store.on('available', (available) => {
      if (available) logger.info('cluster: Redis answers again');
      else logger.error('cluster: Redis does not answer; running streams go on');
    });
    this.directory = new ClusterDirectory({
      store: this.#store,
      identity: this.#identity,
      graceMs: settings.cluster_grace_s * 1000,
      acceptsOffline: settings.cluster_offline === 'accept',
      isGone: createIsGone(this.#store),
      logger,
    });
    this.#stored = new StoredPushes({
      store: this.#store,
      epochOf: (stream) => this.directory.epochOf(stream),
      box,
      logger,
    });
    registerMetrics(metrics, {
      store: this.#store,
      directory: this.directory,
      restored: () => this.#restore?.restored ?? 0,
      moves: () => this.#moves,
      takenOver: () => this.#takeOver?.taken ?? 0,
    });
  }

  /** Connects to Redis. A Redis that is away does not prevent the start. */
  static async create(options: GatewayClusterOptions): Promise<GatewayCluster> {
    const cluster = new GatewayCluster(options);
    // It is reported by `available`; the node joins when Redis answers.
    await cluster.#store.waitUntilAvailable(REDIS_START_MS).catch(() => undefined);
    return cluster;
  }

  /**
   * The pushes of this node, which are stored from now on.
   *
   * @param parseOrder checks a stored push, which another version of the gateway may have stored
   */
  storing(
    control: ContinuablePushes,
    registry: StreamRegistry,
    parseOrder: (order: object) => StartRequest,
  ): TransponderControl {
    const resumeKeyOf = (stream: string): string | undefined => registry.find(stream)?.resumeKey;
    const { settings, logger } = this.#options;
    const storing = new StoringPushes({
      control,
      stored: this.#stored,
      directory: this.directory,
      resumeKeyOf,
      standbyDefaults: standbyDefaults(settings),
      isGiven: (stream) => this.#moves?.gives(stream) ?? false,
      logger,
    });
    this.#moves = new StreamMoves({
      store: this.#store,
      directory: this.directory,
      stored: this.#stored,
      storing,
      control,
      registry,
      parseOrder,
      hasStandby: settings.push_engine === 'rtmp',
      self: this.#identity.id,
      logger,
    });
    const restore = new PushRestore({
      stored: {
        read: (stream) => this.#stored.read(stream),
        replace: (push, id) => this.#stored.replace(push, id),
        owns: (id) => this.#stored.owns(id) || storing.prepares(id),
      },
      start: (push) => storing.continue(push, parseOrder(push.order)),
      refuse: ({ order }, reason) => control.refuse(parseOrder(order), reason),
      logger,
    });
    registry.on('started', ({ name, resumeKey }) => restore.streamStarted(name, resumeKey));
    registry.on('ended', ({ name }) => restore.streamEnded(name));
    this.#restore = restore;
    // ffmpeg cannot change the video of a connection, so there is no standby.
    if (settings.push_engine === 'rtmp')
      this.#takeOver = new TakeOver({
        store: this.#store,
        directory: this.directory,
        stored: this.#stored,
        standby: {
          take: async (stream, pushes, lease) => {
            try {
              // Its publisher is back on this node, and the pushes start with it.
              if (registry.find(stream)) return false;
              const due = pushes.filter(({ id }) => !this.#stored.owns(id));
              const started = await Promise.allSettled(
                due.map((push) => storing.continue(push, parseOrder(push.order))),
              );
              started.forEach((result, index) => {
                if (result.status === 'fulfilled') return;
                const error = toGatewayError(result.reason as unknown);
                const about = { streamName: stream, mediaSessionId: due[index]!.id };
                logger.warn({ ...about, code: error.code, reason: error.message }, 'push not taken over');
              });
              return started.some(({ status }) => status === 'fulfilled');
            } finally {
              lease.release();
            }
          },
        },
        probe: livenessOf,
        graceMs: settings.cluster_grace_s * 1000,
        self: this.#identity.id,
        logger,
      });
    return storing;
  }

  /** What rooms need that are the same on all nodes. The logs have connections of their own. */
  shareRooms(): {
    readonly logs: SharedLogs;
    readonly host: { readonly node: string; readonly instance: string };
    readonly processes: () => Promise<ReadonlySet<string>>;
  } {
    const { cluster_redis_url: url, cluster_prefix: prefix } = this.#options.settings;
    const { id: node, instance } = this.#identity;
    return { logs: new RedisLogs({ url, prefix }), host: { node, instance }, processes: () => this.#instances() };
  }

  /** Seals what all nodes share. */
  get box(): Sealer {
    return this.#options.box;
  }

  /** Records that all nodes share. */
  openRecords<T>(namespace: string, schema: ZodType<T>): KeptRecords<T> {
    return this.#store.records(namespace, schema, this.#options.logger);
  }

  /** As {@link KeepFirst}, for all nodes. */
  async keepFirst(token: string, endsAt: number, expiresAt: Date): Promise<number> {
    const ttlMs = Math.max(1, expiresAt.getTime() - wallClockMs());
    return Number(await this.#store.keepFirst(token, String(endsAt), ttlMs));
  }

  /** Texts that all nodes share. */
  get notes(): ClusterNotes {
    return {
      read: (key) => this.#store.noted(key),
      write: (key, text, ttlMs) => this.#store.note(key, text, ttlMs),
    };
  }

  /** Instances of the nodes that run. */
  async #instances(): Promise<ReadonlySet<string>> {
    return new Set((await this.#store.nodes()).map(({ instance }) => instance));
  }

  /** @throws {GatewayError} SETTINGS_INVALID if another running process has the same `node_id` */
  async join({ workersAnswer, load, isDraining, isMoving, ...ports }: JoinOptions): Promise<void> {
    const { settings, version, logger } = this.#options;
    const url = settings.node_url || defaultUrl(settings, ports);
    this.#node = new ClusterNode({
      store: this.#store,
      identity: this.#identity,
      directory: this.directory,
      about: {
        url,
        wsUrl: settings.node_ws_url || defaultWsUrl(url, ports),
        region: settings.node_region,
        group: settings.node_group,
        version,
        capacity:
          settings.node_capacity || Math.min(settings.max_streams, availableParallelism() * PUBLICATIONS_PER_CORE),
        startedAt: wallClockMs(),
      },
      workersAnswer,
      load: () => ({
        publications: this.directory.size,
        ...load(),
        drain: this.#moves?.drain ?? 'no',
        toMove: this.#moves?.toMove ?? 0,
      }),
      isDraining,
      onBeat: async () => {
        await this.#stored.flush();
        await this.#restore?.retry();
      },
      logger,
    });
    await this.#node.start();
    this.#looking = setInterval(() => {
      if (this.#node?.state === 'in-service' && !isDraining()) inBackground(this.#takeOver?.look());
    }, TAKE_OVER_LOOK_MS);
    const duty = (): NodeDuty => {
      if (isDraining()) return isMoving() ? 'moving' : 'draining';
      return this.#node?.state === 'in-service' ? 'in-service' : 'out-of-service';
    };
    this.#moving = setInterval(() => inBackground(this.#moves?.tick(duty())), MOVE_LOOK_MS);
    logger.info({ nodeId: this.#identity.id, url }, 'joined the cluster');
  }

  /** Streams that other nodes are about to take; 0 while none can. */
  get moving(): number {
    return this.#moves?.drain === 'moving' ? this.#moves.toMove : 0;
  }

  /** Whether the media workers have not answered for so long that the streams were given up. */
  get failed(): boolean {
    return this.#node?.state === 'failed';
  }

  /** Whether Redis answers, and whether new streams are refused while it does not. */
  get redis(): { readonly answers: boolean; readonly needed: boolean } {
    return { answers: this.#store.available, needed: this.#options.settings.cluster_offline === 'refuse' };
  }

  /** Tells the cluster at once that the node drains. */
  announceDrain(): void {
    inBackground(this.#node?.tick());
  }

  /** Leaves the cluster. To be called when the streams and the pushes have ended. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#looking);
    clearInterval(this.#moving);
    await this.#stored.flush();
    this.#stored.close();
    if (this.#node) await this.#node.close();
    else this.directory.close();
    await this.#store.close();
  }
}

type Ports = Pick<JoinOptions, 'httpPort' | 'httpsPort' | 'wsPort' | 'wssPort'>;

function defaultUrl({ listen_ip: host }: Settings, { httpPort }: Ports): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${httpPort}`;
}

/** The same host as for HTTP, over TLS where HTTP is. */
function defaultWsUrl(url: string, { wsPort, wssPort }: Ports): string {
  const { hostname: host, protocol } = new URL(url);
  return protocol === 'https:' && wssPort !== undefined ? `wss://${host}:${wssPort}` : `ws://${host}:${wsPort}`;
}
