import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Logger } from '../observe/logger.ts';
import type { RecordSet, Store } from '../store/store.ts';
import type { JsonValue } from './room-client.ts';
import type { ObjectRecord } from './scope-entry.ts';
import type { ScopeObject } from './scope-object.ts';
import { inBackground } from '../runtime/in-background.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

export interface PersistentObjectsOptions {
  readonly store: Store;
  /** Days for which objects that nobody uses are kept. */
  readonly days: number;
  readonly logger: Logger;
}

const ObjectSchema = z.object({
  name: z.string(),
  version: z.number(),
  properties: z.array(z.tuple([z.string(), z.custom<JsonValue>((value) => value !== undefined)])),
});
const ScopeSchema = z.object({ scope: z.string(), objects: z.number() });

/** Milliseconds in which several changes of an object become one write. */
const WRITE_AFTER_MS = 500;
const DAY_MS = 86_400_000;

/** Keeps the persistent objects of scopes in the store of this machine, without their members. */
export class PersistentObjects {
  readonly #options: PersistentObjectsOptions;
  readonly #objects: RecordSet<z.output<typeof ObjectSchema>>;
  /** What there is, without the values. */
  readonly #index: RecordSet<z.output<typeof ScopeSchema>>;
  readonly #scopes = new Map<string, number>();
  /** Objects by key that have changed. `undefined`: it is deleted. */
  readonly #due = new Map<string, { readonly scope: string; readonly object: ScopeObject | undefined }>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(options: PersistentObjectsOptions) {
    this.#options = options;
    this.#objects = options.store.records('room-objects', ObjectSchema);
    this.#index = options.store.records('room-scopes', ScopeSchema);
  }

  static async create(options: PersistentObjectsOptions): Promise<PersistentObjects> {
    const persistent = new PersistentObjects(options);
    for (let after: string | undefined; ;) {
      const page = await persistent.#index.list({ ...(after !== undefined && { after }) });
      for (const { value } of page) persistent.#scopes.set(value.scope, value.objects);
      after = page.at(-1)?.key;
      if (after === undefined) return persistent;
    }
  }

  /** Scopes that have persistent objects, with the number of these. */
  get scopes(): ReadonlyMap<string, number> {
    return this.#scopes;
  }

  async load(scope: string): Promise<ObjectRecord[]> {
    await this.flush();
    if (!this.#scopes.has(scope)) return [];
    const found = await this.#objects.list({ prefix: `${hash(scope)}.` });
    if (found.length === 0) this.#scopes.delete(scope);
    return found.map(({ value }) => ({ ...value, persistent: true, acquired: 0, members: [] }));
  }

  /** An object has changed, or was used. It is written soon. */
  changed(scope: string, object: ScopeObject): void {
    this.#note(scope, object.name, object);
  }

  deleted(scope: string, name: string): void {
    this.#note(scope, name, undefined);
  }

  /** Writes what has changed. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const due = [...this.#due];
    this.#due.clear();
    if (due.length > 0) this.#writing = this.#writing.then(() => this.#write(due));
    return this.#writing;
  }

  #note(scope: string, name: string, object: ScopeObject | undefined): void {
    this.#due.set(`${hash(scope)}.${hash(name)}`, { scope, object });
    this.#timer ??= setTimeout(() => inBackground(this.flush()), WRITE_AFTER_MS).unref();
  }

  async #write(
    due: readonly (readonly [string, { readonly scope: string; readonly object: ScopeObject | undefined }])[],
  ): Promise<void> {
    const expiresAt = new Date(wallClockMs() + this.#options.days * DAY_MS);
    try {
      for (const [key, { object }] of due) {
        if (!object) {
          await this.#objects.delete(key);
          continue;
        }
        const { name, version, properties } = object;
        await this.#objects.put(key, { name, version, properties: [...properties] }, { expiresAt });
      }
      for (const scope of new Set(due.map(([, one]) => one.scope))) {
        const { length } = await this.#objects.list({ prefix: `${hash(scope)}.` });
        if (length > 0) {
          this.#scopes.set(scope, length);
          await this.#index.put(hash(scope), { scope, objects: length }, { expiresAt });
        } else {
          this.#scopes.delete(scope);
          await this.#index.delete(hash(scope));
        }
      }
    } catch (error) {
      this.#options.logger.error({ err: error }, 'shared objects could not be saved');
    }
  }
}

/** Names as keys of the store, which allows few characters in them. */
const hash = (name: string): string => createHash('sha256').update(name).digest('base64url').slice(0, 32);
