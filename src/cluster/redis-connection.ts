import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import { SCRIPTS, type ScriptName } from './redis-scripts.ts';

/** Milliseconds until a command counts as not answered. */
const COMMAND_TIMEOUT_MS = 1000;
const CONNECT_TIMEOUT_MS = 2000;
/** Milliseconds between two attempts to connect. */
const RETRY_MS = 250;

type ScriptCommands = Record<ScriptName, (...args: (string | number)[]) => Promise<unknown>>;
export type RedisClient = (Redis | Cluster) & ScriptCommands;

/** Commands fail at once while there is no connection: whether a publication waits for Redis is not Redis's decision. */
const COMMON = {
  commandTimeout: COMMAND_TIMEOUT_MS,
  connectTimeout: CONNECT_TIMEOUT_MS,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  enableAutoPipelining: true,
  retryStrategy: () => RETRY_MS,
  lazyConnect: true,
  connectionName: 'webrtc-transponder',
} satisfies RedisOptions;

/**
 * Creates a client for `redis://`, `rediss://`, `redis+sentinel://[user:password@]HOST:PORT,…/MASTER[/DB]` or
 * `redis+cluster://[user:password@]HOST:PORT,…`. It connects in the background, again and again.
 *
 * @param options.subscribes for subscriptions, which the caller makes again after each `ready`
 */
export function createRedis(url: string, { subscribes = false } = {}): RedisClient {
  // Whoever subscribes must know when that is done again after a loss of the connection.
  const client = clientOf(url, { ...COMMON, autoResubscribe: !subscribes });
  // Every failure is seen by the command that fails. Without a listener ioredis writes to the console.
  client.on('error', () => undefined);
  for (const [name, script] of Object.entries(SCRIPTS)) client.defineCommand(name, script);
  client.connect().catch(() => undefined);
  return client as RedisClient;
}

function clientOf(url: string, common: typeof COMMON & RedisOptions): Redis | Cluster {
  const [, kind = '', login, hosts = '', path = ''] =
    /^redis\+(sentinel|cluster):\/\/(?:([^@/]*)@)?([^/]+)(?:\/(.*))?$/i.exec(url) ?? [];
  if (kind === '') return new Redis(url, common);
  const addresses = hosts.split(',').map(addressOf);
  const credentials = credentialsOf(login);
  if (kind.toLowerCase() === 'cluster') {
    const { retryStrategy: _, lazyConnect, enableOfflineQueue, enableAutoPipelining, ...redisOptions } = common;
    const options: ClusterOptions = {
      redisOptions: { ...redisOptions, ...credentials },
      clusterRetryStrategy: () => RETRY_MS,
      lazyConnect,
      enableOfflineQueue,
      enableAutoPipelining,
    };
    return new Cluster(addresses, options);
  }
  const [name = 'mymaster', db = '0'] = path.split('/').filter(Boolean);
  return new Redis({
    ...common,
    ...credentials,
    sentinels: addresses.map(({ host, port }) => ({ host, port: port ?? 26_379 })),
    sentinelRetryStrategy: () => RETRY_MS,
    name,
    db: Number(db),
  });
}

/** `HOST`, `HOST:PORT` or `[IPV6]:PORT`. */
function addressOf(text: string): { host: string; port?: number } {
  const [, host = text, port] = /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(text) ?? [];
  return port === undefined ? { host } : { host, port: Number(port) };
}

function credentialsOf(login: string | undefined): { username?: string; password?: string } {
  if (login === undefined) return {};
  const [username = '', password] = login.split(':').map(decodeURIComponent);
  return { ...(username !== '' && { username }), ...(password !== undefined && { password }) };
}
