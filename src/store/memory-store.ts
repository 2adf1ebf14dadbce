import { randomUUID } from 'node:crypto';
import type { ZodType } from 'zod';
import type { Logger } from '../observe/logger.ts';
import {
  checkKey,
  checkNamespace,
  DEFAULT_LIMIT,
  type ListOptions,
  type PutOptions,
  type QueueEntry,
  type RecordSet,
  type Store,
  type StoreOptions,
  type StoredRecord,
  type WorkQueue,
} from './store.ts';
import { StoredValue } from './stored-value.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

interface StoredText {
  readonly text: string;
  readonly version: string;
  /** Milliseconds since 1970; `Infinity`: never. */
  readonly expiresMs: number;
}

interface WaitingEntry {
  readonly id: number;
  readonly text: string;
  dueMs: number;
  attempts: number;
}

/** A store that ends with the process: for gateways without `state_dir`, and for tests. */
export class MemoryStore implements Store {
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #namespaces = new Map<string, Map<string, StoredText>>();
  readonly #queues = new Map<string, Map<number, WaitingEntry>>();
  #lastId = 0;
  #closed = false;

  constructor({ logger, now = wallClockMs }: StoreOptions) {
    this.#logger = logger;
    this.#now = now;
  }

  records<T>(namespace: string, schema: ZodType<T>): RecordSet<T> {
    const records = getOrCreate(this.#namespaces, checkNamespace(namespace));
    const values = new StoredValue(schema, namespace, this.#logger);
    const find = (key: string): StoredText | undefined => {
      this.#checkOpen();
      const stored = records.get(checkKey(key));
      if (!stored || stored.expiresMs > this.#now()) return stored;
      records.delete(key);
      return undefined;
    };
    const read = (key: string, stored: StoredText): StoredRecord<T> | undefined => {
      const found = values.read(stored.text, key);
      return found && { key, version: stored.version, ...found };
    };
    const put = (key: string, value: T, { expiresAt }: PutOptions = {}): string => {
      const version = randomUUID();
      records.set(key, { text: values.write(value), version, expiresMs: expiresAt?.getTime() ?? Infinity });
      return version;
    };
    return {
      get: async (key) => {
        const stored = find(key);
        return stored && read(key, stored);
      },
      put: async (key, value, options) => {
        find(key);
        return put(key, value, options);
      },
      putIfAbsent: async (key, value, options) => (find(key) ? undefined : put(key, value, options)),
      putIfVersion: async (key, value, version, options) =>
        find(key)?.version === version ? put(key, value, options) : undefined,
      delete: async (key) => find(key) !== undefined && records.delete(key),
      list: async ({ prefix = '', limit = DEFAULT_LIMIT, after, descending = false }: ListOptions = {}) => {
        this.#checkOpen();
        const keys = [...records.keys()].filter((key) => key.startsWith(prefix)).sort();
        if (descending) keys.reverse();
        const listed = keys
          .filter((key) => after === undefined || (descending ? key < after : key > after))
          .filter((key) => find(key))
          .slice(0, limit);
        return listed.map((key) => read(key, records.get(key)!)).filter((record) => record !== undefined);
      },
    };
  }

  queue<T>(name: string, schema: ZodType<T>): WorkQueue<T> {
    const queues = getOrCreate(this.#queues, checkNamespace(name));
    const entries = (): Map<number, WaitingEntry> => {
      this.#checkOpen();
      return queues;
    };
    const values = new StoredValue(schema, name, this.#logger);
    return {
      push: async (value, dueAt) => {
        const id = ++this.#lastId;
        entries().set(id, { id, text: values.write(value), dueMs: dueAt?.getTime() ?? this.#now(), attempts: 0 });
        return String(id);
      },
      take: async (limit, hideMs) => {
        const nowMs = this.#now();
        const due = [...entries().values()]
          .filter(({ dueMs }) => dueMs <= nowMs)
          .sort((a, b) => a.dueMs - b.dueMs || a.id - b.id)
          .slice(0, limit);
        return due.flatMap((entry): QueueEntry<T>[] => {
          const found = values.read(entry.text, String(entry.id));
          if (!found) {
            entries().delete(entry.id);
            return [];
          }
          entry.dueMs = nowMs + hideMs;
          return [{ id: String(entry.id), attempts: ++entry.attempts, ...found }];
        });
      },
      reschedule: async (id, dueAt) => {
        const entry = entries().get(Number(id));
        if (entry) entry.dueMs = dueAt.getTime();
        return entry !== undefined;
      },
      remove: async (id) => entries().delete(Number(id)),
      size: async () => entries().size,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #checkOpen(): void {
    if (this.#closed) throw new Error('the store is closed');
  }
}

function getOrCreate<K, V>(maps: Map<string, Map<K, V>>, name: string): Map<K, V> {
  let map = maps.get(name);
  if (!map) maps.set(name, (map = new Map<K, V>()));
  return map;
}
