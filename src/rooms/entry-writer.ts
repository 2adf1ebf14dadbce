import { randomUUID } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import { atEndOfTick } from '../runtime/tick.ts';
import type { ScopeEntry } from './scope-entry.ts';
import { sharedRun } from '../runtime/async.ts';
import { inBackground } from '../runtime/in-background.ts';

export interface EntryWriterOptions {
  /**
   * Appends a batch to the log.
   *
   * @returns its position; `undefined` if the log has begun anew: it must be read first
   */
  readonly append: (text: string) => Promise<number | undefined>;
  /** Catches up with the log. */
  readonly read: () => Promise<void>;
}

/** An entry that waits to be applied. */
export interface Operation {
  readonly entry: ScopeEntry;
  readonly resolve: () => void;
  readonly reject: (reason: GatewayError) => void;
}

interface Batch {
  readonly operations: readonly Operation[];
  /** Once the log has it. */
  position?: number | undefined;
  /** Looks for it when it does not arrive. */
  late?: NodeJS.Timeout | undefined;
}

/** Milliseconds after which a batch that has not arrived is looked for. */
const ARRIVAL_MS = 1000;
const MAX_BATCH = 64;

/** Appends the entries of one process to the log of a scope, in order and in batches, until they come back from it. */
export class EntryWriter {
  readonly #options: EntryWriterOptions;
  #queue: Operation[] = [];
  /** By id. */
  readonly #batches = new Map<string, Batch>();
  readonly #appendSoon = sharedRun(() => this.#appendQueued());

  constructor(options: EntryWriterOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#batches.size === 0;
  }

  /**
   * Resolves when the entry is applied.
   *
   * @throws {GatewayError} CLUSTER_UNAVAILABLE, or why it was refused
   */
  submit(entry: ScopeEntry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ entry, resolve, reject });
      inBackground(this.#appendSoon());
    });
  }

  /** A batch of the log is to be applied: returns its operations, in the order of its entries, if it is an own one. */
  arrived(id: string): readonly Operation[] {
    const batch = this.#batches.get(id);
    this.#batches.delete(id);
    clearTimeout(batch?.late);
    return batch?.operations ?? [];
  }

  /**
   * Ends the operations that are part of a snapshot: they were applied, one cannot know how.
   *
   * @param position of the snapshot
   */
  settle(position: number, wasRefused: (entry: ScopeEntry) => boolean): void {
    for (const [id, batch] of this.#batches) {
      if (batch.position === undefined || batch.position > position) continue;
      for (const { entry, resolve, reject } of this.arrived(id)) {
        if (wasRefused(entry)) reject(new GatewayError('CLUSTER_UNAVAILABLE', 'The request was lost. Try again.'));
        else resolve();
      }
    }
  }

  /** Waits until everything has arrived, for about a second. */
  async drain(): Promise<void> {
    await this.#appendSoon.running;
    const deadline = performance.now() + ARRIVAL_MS;
    while (this.#batches.size > 0 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 10));
  }

  async #appendQueued(): Promise<void> {
    // Entries of one event-loop tick go together.
    await new Promise<void>((resolve) => atEndOfTick(resolve));
    while (this.#queue.length > 0) {
      const operations = this.#queue.splice(0, MAX_BATCH);
      try {
        if (await this.#append(operations)) continue;
        await this.#options.read();
        if (!(await this.#append(operations))) throw new Error('the log has begun anew twice');
      } catch (error) {
        this.#options.read().catch(() => undefined);
        for (const { reject } of operations) reject(unavailable(error));
      }
    }
  }

  /** @returns false if the log must be read first */
  async #append(operations: readonly Operation[]): Promise<boolean> {
    const { append, read } = this.#options;
    const id = randomUUID();
    const batch: Batch = { operations };
    this.#batches.set(id, batch);
    try {
      batch.position = await append(JSON.stringify({ id, entries: operations.map(({ entry }) => entry) }));
    } catch (error) {
      this.#batches.delete(id);
      throw error;
    }
    if (batch.position === undefined) this.#batches.delete(id);
    else if (this.#batches.has(id)) batch.late = setTimeout(() => read().catch(() => undefined), ARRIVAL_MS).unref();
    return batch.position !== undefined;
  }
}

export const unavailable = (error: unknown): GatewayError =>
  error instanceof GatewayError
    ? error
    : new GatewayError(
        'CLUSTER_UNAVAILABLE',
        'Redis does not answer, so rooms cannot be used. Try again in some seconds.',
        { cause: error },
      );
