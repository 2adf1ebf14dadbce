import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Logger } from '../observe/logger.ts';
import { inBackground } from '../runtime/in-background.ts';
import type { RecordSet, Store } from '../store/store.ts';
import { MeasuredValues } from './measured-values.ts';
import type { KeptObjects } from './persistence-limits.ts';
import type { JsonValue } from './room-client.ts';
import type { ObjectRecord } from './scope-entry.ts';
import type { ScopeObject } from './scope-object.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

export interface PersistentObjectsOptions {
  readonly store: Store;
  /** Days for which objects that nobody uses are kept. */
  readonly days: number;
  /** Free bytes of the store's disk below which objects cannot grow. */
  readonly minFreeBytes: number;
  /** Free bytes of the store's disk. Unset: the store is in memory. */
  readonly freeBytes?: (() => Promise<number>) | undefined;
  readonly logger: Logger;
}

const ObjectSchema = z.object({
  name: z.string(),
  version: z.number(),
  properties: z.array(z.tuple([z.string(), z.custom<JsonValue>((value) => value !== undefined)])),
});
/** Earlier versions did not store the bytes. */
const ScopeSchema = z.object({ scope: z.string(), objects: z.number(), bytes: z.number().default(0) });

interface Kept {
  objects: number;
  bytes: number;
  /** Bytes by key of the store; unset until the scope is loaded. */
  sizes?: Map<string, number>;
}

interface Due {
  readonly scope: string;
  /** `undefined`: it is deleted. */
  readonly object: ScopeObject | undefined;
}

/** Milliseconds in which several changes of an object become one write. */
const WRITE_AFTER_MS = 500;
/** A change of a small property writes its whole object: so many bytes are written in this time, and then the next object. */
const BYTES_PER_WRITE = 512 * 1024;
const DISK_LOOK_MS = 10_000;
const PRUNE_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Keeps the persistent objects of scopes in the store of this machine, without their members. */
export class PersistentObjects {
  readonly #options: PersistentObjectsOptions;
  readonly #objects: RecordSet<z.output<typeof ObjectSchema>>;
  /** What there is, without the values. */
  readonly #index: RecordSet<z.output<typeof ScopeSchema>>;
  readonly #scopes = new Map<string, Kept>();
  readonly #total = { objects: 0, bytes: 0 };
  /** By key, the one that has waited longest first. */
  readonly #due = new Map<string, Due>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #isDiskFull = false;
  readonly #timers: NodeJS.Timeout[] = [];

  private constructor(options: PersistentObjectsOptions) {
    this.#options = options;
    this.#objects = options.store.records('room-objects', ObjectSchema);
    this.#index = options.store.records('room-scopes', ScopeSchema);
  }

  static async create(options: PersistentObjectsOptions): Promise<PersistentObjects> {
    const persistent = new PersistentObjects(options);
    for await (const { scope, objects, bytes } of persistent.#stored()) {
      const kept = { objects: 0, bytes: 0 };
      persistent.#scopes.set(scope, kept);
      persistent.#add(kept, objects, bytes);
    }
    await persistent.#lookAtDisk();
    const every = (ms: number, run: () => Promise<void>): NodeJS.Timeout =>
      setInterval(() => inBackground(run()), ms).unref();
    persistent.#timers.push(
      every(DISK_LOOK_MS, () => persistent.#lookAtDisk()),
      every(PRUNE_MS, () => persistent.prune()),
    );
    return persistent;
  }

  /** Scopes that have persistent objects, with the number of these. */
  get scopes(): ReadonlyMap<string, { readonly objects: number }> {
    return this.#scopes;
  }

  get kept(): KeptObjects {
    return { ...this.#total, isDiskFull: this.#isDiskFull };
  }

  async load(scope: string): Promise<ObjectRecord[]> {
    if (!this.#scopes.has(scope)) return [];
    const prefix = `${hash(scope)}.`;
    const waiting = (): [string, Due][] => [...this.#due].filter(([key]) => key.startsWith(prefix));
    const before = waiting();
    await this.#writing;
    const found = new Map((await this.#objects.list({ prefix })).map(({ key, value }) => [key, value]));
    // What is not written yet, without waiting for it.
    for (const [key, { object }] of [...before, ...waiting()])
      if (object) found.set(key, contentOf(object));
      else found.delete(key);
    this.#setSizes(scope, new Map([...found].map(([key, value]) => [key, sizeOf(value)])));
    return [...found.values()].map((value) => ({ ...value, persistent: true, acquired: 0, members: [] }));
  }

  /** An object has changed, or was used. It is written soon. */
  changed(scope: string, object: ScopeObject): void {
    this.#note(scope, object.name, object);
  }

  deleted(scope: string, name: string): void {
    this.#note(scope, name, undefined);
  }

  /** Writes all that has changed. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#due.size > 0) await this.#writeSome();
    await this.#writing;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.flush();
  }

  #note(scope: string, name: string, object: ScopeObject | undefined): void {
    const key = `${hash(scope)}.${hash(name)}`;
    this.#due.set(key, { scope, object });
    this.#count(scope, key, object?.bytes);
    this.#writeLater();
  }

  /** Counts at once what is written later. */
  #count(scope: string, key: string, bytes: number | undefined): void {
    const kept = this.#scopes.get(scope) ?? { objects: 0, bytes: 0, sizes: new Map<string, number>() };
    this.#scopes.set(scope, kept);
    // A scope is loaded before its objects change.
    const { sizes } = kept;
    if (!sizes) return;
    const before = sizes.get(key);
    if (bytes === undefined) sizes.delete(key);
    else sizes.set(key, bytes);
    this.#add(kept, sizes.size - kept.objects, (bytes ?? 0) - (before ?? 0));
    if (kept.objects === 0) this.#scopes.delete(scope);
  }

  /** What the store has of a scope; some may have expired. */
  #setSizes(scope: string, sizes: Map<string, number>): void {
    const kept = this.#scopes.get(scope) ?? { objects: 0, bytes: 0 };
    const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    this.#add(kept, sizes.size - kept.objects, bytes - kept.bytes);
    if (sizes.size === 0) this.#scopes.delete(scope);
    else this.#scopes.set(scope, Object.assign(kept, { sizes }));
  }

  #add(kept: Kept, objects: number, bytes: number): void {
    for (const sum of [kept, this.#total]) {
      sum.objects += objects;
      sum.bytes += bytes;
    }
  }

  #writeLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      inBackground(this.#writeSome().then(() => this.#due.size > 0 && this.#writeLater()));
    }, WRITE_AFTER_MS).unref();
  }

  /** Writes what has waited longest. */
  #writeSome(): Promise<void> {
    const batch: [string, Due][] = [];
    let bytes = 0;
    for (const [key, due] of this.#due) {
      bytes += due.object?.bytes ?? 0;
      if (batch.length > 0 && bytes > BYTES_PER_WRITE) break;
      batch.push([key, due]);
      this.#due.delete(key);
    }
    this.#writing = this.#writing.then(() => this.#write(batch));
    return this.#writing;
  }

  async #write(batch: readonly (readonly [string, Due])[]): Promise<void> {
    const expiresAt = new Date(wallClockMs() + this.#options.days * DAY_MS);
    try {
      for (const [key, { object }] of batch) {
        if (object) await this.#objects.put(key, contentOf(object), { expiresAt });
        else await this.#objects.delete(key);
      }
      for (const scope of new Set(batch.map(([, one]) => one.scope))) {
        const kept = this.#scopes.get(scope);
        if (kept)
          await this.#index.put(hash(scope), { scope, objects: kept.objects, bytes: kept.bytes }, { expiresAt });
        else await this.#index.delete(hash(scope));
      }
    } catch (error) {
      this.#options.logger.error({ err: error }, 'shared objects could not be saved');
    }
  }

  async *#stored(): AsyncGenerator<z.output<typeof ScopeSchema>> {
    for (let after: string | undefined; ;) {
      const page = await this.#index.list({ ...(after !== undefined && { after }) });
      for (const { value } of page) yield value;
      after = page.at(-1)?.key;
      if (after === undefined) return;
    }
  }

  /** Forgets scopes that have expired, to be called from time to time. */
  async prune(): Promise<void> {
    await this.#writing;
    const candidates = new Set(this.#scopes.keys());
    const leaveWaiting = (): void => this.#due.forEach(({ scope }) => candidates.delete(scope));
    leaveWaiting();
    for await (const { scope } of this.#stored()) candidates.delete(scope);
    leaveWaiting();
    for (const scope of candidates) this.#setSizes(scope, new Map());
  }

  async #lookAtDisk(): Promise<void> {
    const { freeBytes, minFreeBytes, logger } = this.#options;
    if (!freeBytes) return;
    try {
      this.#isDiskFull = (await freeBytes()) < minFreeBytes;
    } catch (error) {
      logger.warn({ err: error }, 'the free space of state_dir cannot be read');
    }
  }
}

const contentOf = ({ name, version, properties }: ScopeObject): z.output<typeof ObjectSchema> => ({
  name,
  version,
  properties: [...properties],
});

const sizeOf = ({ properties }: z.output<typeof ObjectSchema>): number => new MeasuredValues(properties).bytes;

/** Names as keys of the store, which allows few characters in them. */
const hash = (name: string): string => createHash('sha256').update(name).digest('base64url').slice(0, 32);
