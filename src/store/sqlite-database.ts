import { closeSync, openSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { GatewayError } from '../errors.ts';

/** Version of the tables, in `PRAGMA user_version`. A change of the tables raises it and adds a migration. */
const SCHEMA_VERSION = 1;

/**
 * How long a statement waits for another process that uses the file, in milliseconds. The event loop waits with it, so
 * it is short.
 */
const BUSY_TIMEOUT_MS = 250;

const TABLES = `
  CREATE TABLE records (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    version TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX records_by_expiry ON records (expires_ms);
  CREATE TABLE queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX queue_by_due ON queue (name, due_ms, id);
`;

/**
 * Write-ahead log: a killed process loses nothing that was committed, and a power cut may lose the last commits but
 * never damages the file. Commits do not wait for the disk; checkpoints do, and are kept small.
 */
const PRAGMAS = 'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 100;';

/**
 * Opens a database with the gateway's tables, or creates it, readable by its owner only.
 *
 * @throws {GatewayError} SETTINGS_INVALID
 */
export async function openDatabase(file: string): Promise<DatabaseSync> {
  const { DatabaseSync } = await import('node:sqlite').catch((error: unknown) => {
    throw new GatewayError(
      'SETTINGS_INVALID',
      `state_dir needs Node 22.13 or later; this is ${process.version}. Use a newer one, or leave state_dir empty.`,
      { cause: error },
    );
  });
  let database: DatabaseSync | undefined;
  try {
    closeSync(openSync(file, 'a', 0o600));
    database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    database.exec(PRAGMAS);
    const problem = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
    if (problem !== 'ok') throw damaged(file, String(problem));
    createTables(database, file);
    return database;
  } catch (error) {
    database?.close();
    throw error instanceof GatewayError ? error : openError(file, error);
  }
}

function createTables(database: DatabaseSync, file: string): void {
  const version = (): number => Number(database.prepare('PRAGMA user_version').get()!['user_version']);
  if (version() === 0) {
    // Checked again under the lock: another process may be creating them.
    database.exec('BEGIN IMMEDIATE');
    if (version() === 0) database.exec(`${TABLES} PRAGMA user_version = ${SCHEMA_VERSION};`);
    database.exec('COMMIT');
  }
  if (version() !== SCHEMA_VERSION)
    throw new GatewayError(
      'SETTINGS_INVALID',
      `state_dir: ${file} was written by a newer version of the gateway (format ${version()}, this one knows ` +
        `${SCHEMA_VERSION}). Run that version, or move the file away.`,
    );
}

/** Primary result codes of SQLite. */
const BUSY = 5;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

function openError(file: string, error: unknown): GatewayError {
  const { errcode = 0, code, message } = error as Error & { errcode?: number; code?: string };
  const primary = errcode & 0xff;
  if (primary === CORRUPT || primary === NOT_A_DATABASE) return damaged(file, message, error);
  const remedy =
    primary === BUSY
      ? 'Another process uses it. End that process first.'
      : 'The directory must exist and be writable for the user that the gateway runs as.';
  return new GatewayError(
    'SETTINGS_INVALID',
    `state_dir: ${file} cannot be opened (${errcode ? message : code}). ${remedy}`,
    {
      cause: error,
    },
  );
}

const damaged = (file: string, what: string, cause?: unknown): GatewayError =>
  new GatewayError(
    'SETTINGS_INVALID',
    `state_dir: ${file} is damaged (${what}). Restore it from a backup, or move it away together with ` +
      `${file}-wal and ${file}-shm: the gateway then begins with an empty one.`,
    { cause },
  );
