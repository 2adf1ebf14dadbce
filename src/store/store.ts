import type { ZodType } from 'zod';
import type { Logger } from '../observe/logger.ts';

/**
 * Durable state: small records and queues. Kept in memory, in SQLite on one machine, or in Redis in a cluster, so
 * everything is asynchronous, every operation is atomic, and there are no transactions over several of them.
 * Values are JSON. Secrets in them are sealed by the caller (`secret-box.ts`).
 */
export interface Store {
  /**
   * The records of a namespace. `schema` is what a value must be when it is read: another version of the gateway may
   * have written it.
   */
  records<T>(namespace: string, schema: ZodType<T>): RecordSet<T>;
  /** The queue of a name. */
  queue<T>(name: string, schema: ZodType<T>): WorkQueue<T>;
  /** Idempotent. Operations fail afterwards. */
  close(): Promise<void>;
}

/** What every implementation needs. */
export interface StoreOptions {
  readonly logger: Logger;
  /** Milliseconds since 1970; for tests. */
  readonly now?: () => number;
}

export interface StoredRecord<T> {
  readonly key: string;
  readonly value: T;
  /** Another one after each change, and never an earlier one again. Compare for equality only. */
  readonly version: string;
}

export interface PutOptions {
  /** When the record expires. */
  readonly expiresAt?: Date;
}

export interface ListOptions {
  /** Only keys that begin with this. */
  readonly prefix?: string;
  /** Most records to return. Default: {@link DEFAULT_LIMIT}. */
  readonly limit?: number;
  /** Continues after this key, which itself is not returned. */
  readonly after?: string;
  /** From the highest key to the lowest. */
  readonly descending?: boolean;
}

export const DEFAULT_LIMIT = 1000;

/**
 * Records by key. Keys are 1 to {@link MAX_KEY_LENGTH} characters of printable ASCII, so that every implementation puts
 * them in the same order. A value that does not fit the schema is reported to the log and read as absent; it can be
 * replaced by `put` and removed by `delete`.
 */
export interface RecordSet<T> {
  get(key: string): Promise<StoredRecord<T> | undefined>;
  /** Creates or replaces a record. @returns the new version */
  put(key: string, value: T, options?: PutOptions): Promise<string>;
  /** @returns the version of the new record, or `undefined` where there is one already */
  putIfAbsent(key: string, value: T, options?: PutOptions): Promise<string | undefined>;
  /**
   * Replaces a record that has not changed since it was read. @returns the new version, or `undefined` if it has
   * changed or is gone
   */
  putIfVersion(key: string, value: T, version: string, options?: PutOptions): Promise<string | undefined>;
  /** @returns whether there was a record */
  delete(key: string): Promise<boolean>;
  /** In the order of the keys. */
  list(options?: ListOptions): Promise<StoredRecord<T>[]>;
}

/** Records that never expire, on one machine or shared by the nodes of a cluster. */
export type KeptRecords<T> = Pick<RecordSet<T>, 'get' | 'delete' | 'list'> & {
  putIfAbsent(key: string, value: T): Promise<string | undefined>;
  putIfVersion(key: string, value: T, version: string): Promise<string | undefined>;
};

/** Opens the records of a namespace. */
export type OpenRecords = <T>(namespace: string, schema: ZodType<T>) => KeptRecords<T>;

export const MAX_KEY_LENGTH = 200;

export interface QueueEntry<T> {
  readonly id: string;
  readonly value: T;
  /** How often the entry has been taken, this time included. */
  readonly attempts: number;
}

/**
 * Work that survives a restart. Entries are taken in the order in which they are due, those due at the same time in the
 * order in which they were pushed. An entry that was taken is hidden for a while and comes again unless it is removed,
 * so work is done at least once. An entry that does not fit the schema is reported to the log and removed.
 */
export interface WorkQueue<T> {
  /** @param dueAt when it may be taken first; default: now @returns the id of the entry */
  push(value: T, dueAt?: Date): Promise<string>;
  /** Takes up to `limit` due entries and hides them for `hideMs`. */
  take(limit: number, hideMs: number): Promise<QueueEntry<T>[]>;
  /** Makes an entry due at another time, for example to retry after a delay. @returns whether it still exists */
  reschedule(id: string, dueAt: Date): Promise<boolean>;
  /** The work is done. @returns whether the entry still existed */
  remove(id: string): Promise<boolean>;
  /** Entries, whether due, hidden or scheduled. */
  size(): Promise<number>;
}

/** @throws {TypeError} for a key that implementations may order differently; a fault of the caller */
export function checkKey(key: string): string {
  if (key.length === 0 || key.length > MAX_KEY_LENGTH || !/^[\x21-\x7e]+$/.test(key))
    throw new TypeError(`a key must be 1 to ${MAX_KEY_LENGTH} characters of printable ASCII without spaces`);
  return key;
}

/** @throws {TypeError} */
export function checkNamespace(namespace: string): string {
  if (!/^[a-z][a-z0-9-]{0,63}$/.test(namespace)) throw new TypeError(`not a namespace: ${JSON.stringify(namespace)}`);
  return namespace;
}
