import { randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { ZodType } from 'zod';
import type { Logger } from '../observe/logger.ts';
import { openDatabase } from './sqlite-database.ts';
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

/**
 * How often expired records are removed, and how many at once: a small transaction, because it blocks the event loop.
 */
const PURGE_INTERVAL_MS = 60_000;
const PURGE_ROWS = 100;
/** Sorts after every character that a key may have. */
const AFTER_ALL = '\x7f';

interface RecordRow {
  readonly key: string;
  readonly value: string;
  readonly version: string;
}

interface QueueRow {
  readonly id: number;
  readonly value: string;
  readonly attempts: number;
}

/**
 * A store in one SQLite file. Its functions run on the event loop, a fraction of a millisecond each: transactions are
 * small, and nothing waits for the disk except a checkpoint every hundred pages (`sqlite-database.ts`).
 */
export class SqliteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #logger: Logger;
  readonly #now: () => number;
  #purgedMs = -Infinity;

  private constructor(database: DatabaseSync, { logger, now = wallClockMs }: StoreOptions) {
    this.#database = database;
    this.#logger = logger;
    this.#now = now;
  }

  /**
   * Opens the file, or creates it.
   *
   * @throws {GatewayError} SETTINGS_INVALID if it is damaged, is not writable or was written by a newer version
   */
  static async create(file: string, options: StoreOptions): Promise<SqliteStore> {
    return new SqliteStore(await openDatabase(file), options);
  }

  records<T>(namespace: string, schema: ZodType<T>): RecordSet<T> {
    checkNamespace(namespace);
    const values = new StoredValue(schema, namespace, this.#logger);
    const database = this.#database;
    const select = database.prepare(
      'SELECT key, value, version FROM records WHERE namespace = ? AND key = ? AND expires_ms > ?',
    );
    const upsert = database.prepare(
      `INSERT INTO records (namespace, key, value, version, expires_ms) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, version = excluded.version, expires_ms = excluded.expires_ms`,
    );
    const insert = database.prepare(
      `INSERT INTO records (namespace, key, value, version, expires_ms) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, version = excluded.version, expires_ms = excluded.expires_ms
       WHERE records.expires_ms <= ?`,
    );
    const update = database.prepare(
      'UPDATE records SET value = ?, version = ?, expires_ms = ? WHERE namespace = ? AND key = ? AND version = ? AND expires_ms > ?',
    );
    const remove = database.prepare('DELETE FROM records WHERE namespace = ? AND key = ? AND expires_ms > ?');
    const listed = (order: 'ASC' | 'DESC') =>
      database.prepare(
        `SELECT key, value, version FROM records
         WHERE namespace = ? AND key >= ? AND key < ? AND key ${order === 'ASC' ? '>' : '<'} ? AND expires_ms > ?
         ORDER BY key ${order} LIMIT ?`,
      );
    const [ascending, descending] = [listed('ASC'), listed('DESC')];
    const read = ({ key, value: text, version }: RecordRow): StoredRecord<T> | undefined => {
      const found = values.read(text, key);
      return found && { key, version, ...found };
    };
    const expiry = (options?: PutOptions): number => options?.expiresAt?.getTime() ?? Number.MAX_SAFE_INTEGER;
    return {
      get: async (key) => {
        const row = select.get(namespace, checkKey(key), this.#now()) as RecordRow | undefined;
        return row && read(row);
      },
      put: async (key, value, options) => {
        this.#purge();
        const version = randomUUID();
        upsert.run(namespace, checkKey(key), values.write(value), version, expiry(options));
        return version;
      },
      putIfAbsent: async (key, value, options) => {
        this.#purge();
        const version = randomUUID();
        const { changes } = insert.run(
          namespace,
          checkKey(key),
          values.write(value),
          version,
          expiry(options),
          this.#now(),
        );
        return changes === 1 ? version : undefined;
      },
      putIfVersion: async (key, value, version, options) => {
        const next = randomUUID();
        const text = values.write(value);
        const { changes } = update.run(text, next, expiry(options), namespace, checkKey(key), version, this.#now());
        return changes === 1 ? next : undefined;
      },
      delete: async (key) => remove.run(namespace, checkKey(key), this.#now()).changes === 1,
      list: async ({ prefix = '', limit = DEFAULT_LIMIT, after, descending: down = false }: ListOptions = {}) => {
        const statement = down ? descending : ascending;
        const start = after ?? (down ? AFTER_ALL : '');
        const rows = statement.all(namespace, prefix, prefix + AFTER_ALL, start, this.#now(), limit);
        return (rows as unknown as RecordRow[]).map(read).filter((record) => record !== undefined);
      },
    };
  }

  queue<T>(name: string, schema: ZodType<T>): WorkQueue<T> {
    checkNamespace(name);
    const values = new StoredValue(schema, name, this.#logger);
    const database = this.#database;
    const insert = database.prepare('INSERT INTO queue (name, value, due_ms, attempts) VALUES (?, ?, ?, 0)');
    const due = database.prepare(
      'SELECT id, value, attempts FROM queue WHERE name = ? AND due_ms <= ? ORDER BY due_ms, id LIMIT ?',
    );
    const hide = database.prepare('UPDATE queue SET due_ms = ?, attempts = attempts + 1 WHERE id = ?');
    const reschedule = database.prepare('UPDATE queue SET due_ms = ? WHERE name = ? AND id = ?');
    const remove = database.prepare('DELETE FROM queue WHERE name = ? AND id = ?');
    const count = database.prepare('SELECT count(*) AS size FROM queue WHERE name = ?');
    return {
      push: async (value, dueAt) =>
        String(insert.run(name, values.write(value), dueAt?.getTime() ?? this.#now()).lastInsertRowid),
      take: async (limit, hideMs) =>
        this.#transaction(() => {
          const nowMs = this.#now();
          const rows = due.all(name, nowMs, limit) as unknown as QueueRow[];
          return rows.flatMap(({ id, value: text, attempts }): QueueEntry<T>[] => {
            const found = values.read(text, String(id));
            if (!found) {
              remove.run(name, id);
              return [];
            }
            hide.run(nowMs + hideMs, id);
            return [{ id: String(id), attempts: attempts + 1, ...found }];
          });
        }),
      reschedule: async (id, dueAt) => reschedule.run(dueAt.getTime(), name, Number(id)).changes === 1,
      remove: async (id) => remove.run(name, Number(id)).changes === 1,
      size: async () => Number(count.get(name)!['size']),
    };
  }

  async close(): Promise<void> {
    if (this.#database.isOpen) this.#database.close();
  }

  #purge(): void {
    const nowMs = this.#now();
    if (nowMs - this.#purgedMs < PURGE_INTERVAL_MS) return;
    this.#purgedMs = nowMs;
    this.#database
      .prepare(
        'DELETE FROM records WHERE (namespace, key) IN (SELECT namespace, key FROM records WHERE expires_ms <= ? LIMIT ?)',
      )
      .run(nowMs, PURGE_ROWS);
  }

  /** One write lock for several statements: another process may use the file. */
  #transaction<R>(run: () => R): R {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const result = run();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}
