import { randomUUID } from 'node:crypto';
import type { ZodType } from 'zod';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { checkKey, checkNamespace, DEFAULT_LIMIT, type KeptRecords, type StoredRecord } from '../store/store.ts';
import { StoredValue } from '../store/stored-value.ts';
import type { RedisClient } from './redis-connection.ts';

/** A record is the text `VERSION JSON` in the hash of its namespace. */
export interface RedisRecordsOptions {
  readonly redis: Pick<RedisClient, 'hget' | 'hsetnx' | 'hdel' | 'hgetall' | 'wtPutIfVersion'>;
  /** The hash of a namespace. */
  readonly keyOf: (namespace: string) => string;
  /** Runs a command and notes whether Redis answers. */
  readonly run: <T>(command: () => Promise<T>) => Promise<T>;
  readonly logger: Logger;
}

/** Records that all nodes share and that never expire: a few hundred in a namespace. */
export function redisRecords<T>(
  { redis, keyOf, run, logger }: RedisRecordsOptions,
  namespace: string,
  schema: ZodType<T>,
): KeptRecords<T> {
  const hash = keyOf(checkNamespace(namespace));
  const values = new StoredValue(schema, namespace, logger);
  const read = (key: string, text: string | null | undefined): StoredRecord<T> | undefined => {
    if (!text) return undefined;
    const space = text.indexOf(' ');
    const found = values.read(text.slice(space + 1), key);
    return found && { key, version: text.slice(0, space), ...found };
  };
  const ask = <A>(command: () => Promise<A>): Promise<A> =>
    run(command).catch((error: unknown) => {
      throw new GatewayError('CLUSTER_UNAVAILABLE', 'Redis, which keeps this, does not answer. Try again.', {
        cause: error,
      });
    });
  return {
    get: async (key) => read(key, await ask(() => redis.hget(hash, checkKey(key)))),
    putIfAbsent: async (key, value) => {
      const version = randomUUID();
      const isNew = await ask(() => redis.hsetnx(hash, checkKey(key), `${version} ${values.write(value)}`));
      return isNew === 1 ? version : undefined;
    },
    putIfVersion: async (key, value, version) => {
      const next = randomUUID();
      const text = `${next} ${values.write(value)}`;
      const isDone = await ask(() => redis.wtPutIfVersion(hash, checkKey(key), version, text));
      return isDone === 1 ? next : undefined;
    },
    delete: async (key) => (await ask(() => redis.hdel(hash, checkKey(key)))) === 1,
    list: async ({ prefix = '', limit = DEFAULT_LIMIT, after, descending = false } = {}) => {
      const all = await ask(() => redis.hgetall(hash));
      const keys = Object.keys(all).filter((key) => key.startsWith(prefix));
      keys.sort((a, b) => (a < b ? -1 : 1));
      if (descending) keys.reverse();
      const rest = after === undefined ? keys : keys.filter((key) => (descending ? key < after : key > after));
      return rest
        .slice(0, limit)
        .map((key) => read(key, all[key]))
        .filter((record) => record !== undefined);
    },
  };
}
