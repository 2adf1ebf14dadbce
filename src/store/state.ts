import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { MemoryStore } from './memory-store.ts';
import { KEY_BYTES, SecretBox, UnsealError } from './secret-box.ts';
import { SqliteStore } from './sqlite-store.ts';
import type { Store } from './store.ts';

/** The durable state of a gateway, and the key for the secrets in it. */
export interface State {
  readonly store: Store;
  readonly box: SecretBox;
}

export interface StateOptions {
  /** `state_dir`; empty: the state is kept in memory and ends with the process. */
  readonly directory: string;
  /**
   * `state_key`: 32 bytes in base64; empty: the file `state.key` in the directory, which is created where it is
   * missing.
   */
  readonly key: string;
  readonly logger: Logger;
}

const KEY_CHECK = 'key-check';

/** @throws {GatewayError} SETTINGS_INVALID */
export async function openState({ directory, key, logger }: StateOptions): Promise<State> {
  if (directory === '') return { store: new MemoryStore({ logger }), box: SecretBox.withRandomKey() };
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    throw new GatewayError('SETTINGS_INVALID', `state_dir ${directory} cannot be created (${error.code}).`, {
      cause: error,
    });
  });
  const keyFile = join(directory, 'state.key');
  const box = new SecretBox(key === '' ? await readKeyFile(keyFile) : Buffer.from(key, 'base64'));
  const file = join(directory, 'state.db');
  const store = await SqliteStore.create(file, { logger });
  try {
    await checkStateKey(store, box, key === '' ? keyFile : 'state_key', file);
    return { store, box };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** The first start seals a value; later starts must be able to open it. */
async function checkStateKey(store: Store, box: SecretBox, keyName: string, file: string): Promise<void> {
  const records = store.records('state', z.string());
  await records.putIfAbsent(KEY_CHECK, box.seal(KEY_CHECK, KEY_CHECK));
  const found = await records.get(KEY_CHECK);
  try {
    if (!found) throw new UnsealError('damaged');
    box.open(found.value, KEY_CHECK);
  } catch (error) {
    throw new GatewayError(
      'SETTINGS_INVALID',
      `${keyName} does not open ${file} (${(error as Error).message}). Restore the key that was used before, ` +
        `or move ${file} away: the gateway then begins with an empty one.`,
      { cause: error },
    );
  }
}

async function readKeyFile(file: string): Promise<Buffer> {
  try {
    await createKeyFile(file);
    const text = (await readFile(file, 'utf8')).trim();
    const key = Buffer.from(text, 'base64');
    if (key.length === KEY_BYTES && key.toString('base64') === text) return key;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new GatewayError('SETTINGS_INVALID', `state_dir: the key file ${file} cannot be read or written (${code}).`, {
      cause: error,
    });
  }
  throw new GatewayError(
    'SETTINGS_INVALID',
    `state_dir: the key file ${file} is not ${KEY_BYTES} bytes in base64. Restore it, or set state_key; ` +
      'without the key the secrets in state.db are lost.',
  );
}

/** An existing file stays. */
async function createKeyFile(file: string): Promise<void> {
  try {
    await writeFile(file, `${randomBytes(KEY_BYTES).toString('base64')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
