import type { ErrorCode } from '../../../errors.ts';
import { GatewayError } from '../../../errors.ts';
import { limitReached } from '../../../observe/limits.ts';
import type { KeptRecords, StoredRecord } from '../../../store/store.ts';

/** What operators save under a name, with an id that is made from the name. */

export const MAX_ID_LENGTH = 64;
export const ID_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;

/** "Sunday service" is `sunday-service`. A name without Latin letters and digits gives `fallback`. */
export function idOf(name: string, fallback: string): string {
  const id = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_ID_LENGTH - 5)
    .replace(/^-+|-+$/g, '');
  return id || fallback;
}

/** Changes of one record at the same time that are tried again. */
const MAX_CONFLICTS = 10;
/** Records with the same name. */
const MAX_SAME_NAME = 1000;

export interface NamedRecordsOptions<T> {
  readonly records: KeptRecords<T>;
  /** In messages: "destination". */
  readonly noun: string;
  readonly notFound: ErrorCode;
  readonly exists: ErrorCode;
  /** `max_saved_destinations`. */
  readonly limit: number;
}

export class NamedRecords<T extends { readonly name: string }> {
  readonly #options: NamedRecordsOptions<T>;

  constructor(options: NamedRecordsOptions<T>) {
    this.#options = options;
  }

  /** In the order of their ids. */
  list(): Promise<StoredRecord<T>[]> {
    // Another node may have allowed more.
    return this.#options.records.list({ limit: 2 * this.#options.limit });
  }

  /** @throws {GatewayError} `notFound` */
  async get(id: string): Promise<StoredRecord<T>> {
    const { records, noun, notFound } = this.#options;
    const found = ID_PATTERN.test(id) ? await records.get(id) : undefined;
    if (found) return found;
    throw new GatewayError(
      notFound,
      `There is no ${noun} ${JSON.stringify(id.slice(0, MAX_ID_LENGTH))}. GET /api/v1/${noun.replace(' ', '-')}s lists them.`,
    );
  }

  /**
   * @param make gets the id, for which secrets are sealed
   * @throws {GatewayError} `exists` for an id that was asked for, LIMIT_REACHED
   */
  async create(name: string, wanted: string | undefined, make: (id: string) => T): Promise<StoredRecord<T>> {
    const { records, noun, exists, limit } = this.#options;
    const present = await this.list();
    if (present.length >= limit)
      throw limitReached('max_saved_destinations', `There are already ${limit} ${noun}s (max_saved_destinations).`);
    const base = wanted ?? idOf(name, noun.replace(' ', '-'));
    for (let count = 1; count <= MAX_SAME_NAME; count++) {
      const id = count === 1 ? base : `${base}-${count}`;
      const value = make(id);
      const version = await records.putIfAbsent(id, value);
      if (version !== undefined) return { key: id, value, version };
      if (wanted !== undefined) break;
    }
    throw new GatewayError(
      exists,
      `There is already a ${noun} with the id ${JSON.stringify(base)}. Choose another id.`,
    );
  }

  /** Changes a record as it is at that moment. @throws {GatewayError} `notFound`, INTERNAL */
  async change(id: string, change: (before: T) => T): Promise<StoredRecord<T>> {
    for (let attempt = 0; attempt < MAX_CONFLICTS; attempt++) {
      const { value: before, version } = await this.get(id);
      const value = change(before);
      const next = await this.#options.records.putIfVersion(id, value, version);
      if (next !== undefined) return { key: id, value, version: next };
    }
    throw new GatewayError('INTERNAL', `The ${this.#options.noun} is being changed by others. Try again.`);
  }

  /** @throws {GatewayError} `notFound` */
  async delete(id: string): Promise<void> {
    await this.get(id);
    await this.#options.records.delete(id);
  }
}
