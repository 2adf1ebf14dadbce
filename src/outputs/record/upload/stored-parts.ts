import { z } from 'zod';
import type { Logger } from '../../../observe/logger.ts';
import type { RecordSet, Store } from '../../../store/store.ts';
import type { UploadedPart } from './part-plan.ts';

const PartSchema = z.object({ number: z.int().min(1), bytes: z.int().min(0), etag: z.string(), md5: z.string() });

const NAMESPACE = 'recording-parts';
const DIGITS = 5;

/**
 * The parts that the bucket has, by recording, so that an upload continues after a restart. A part that is not in the
 * list is uploaded again, so failures are only logged.
 */
export class StoredParts {
  readonly #records: RecordSet<UploadedPart>;
  readonly #logger: Logger;

  constructor(store: Store, logger: Logger) {
    this.#records = store.records(NAMESPACE, PartSchema);
    this.#logger = logger;
  }

  async put(recording: string, part: UploadedPart): Promise<void> {
    const key = prefixOf(recording) + String(part.number).padStart(DIGITS, '0');
    await this.#try(() => this.#records.put(key, part));
  }

  async list(recording: string): Promise<UploadedPart[]> {
    const parts: UploadedPart[] = [];
    await this.#try(async () => {
      for await (const { value } of this.#all(recording)) parts.push(value);
    });
    return parts;
  }

  async delete(recording: string): Promise<void> {
    await this.#try(async () => {
      for await (const { key } of this.#all(recording)) await this.#records.delete(key);
    });
  }

  async *#all(recording: string): AsyncGenerator<{ readonly key: string; readonly value: UploadedPart }> {
    const prefix = prefixOf(recording);
    for (let after: string | undefined; ;) {
      const page = await this.#records.list({ prefix, ...(after !== undefined && { after }) });
      yield* page;
      after = page.at(-1)?.key;
      if (after === undefined) return;
    }
  }

  async #try(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#logger.error({ err: error }, 'the list of uploaded parts could not be saved or read');
    }
  }
}

const prefixOf = (recording: string): string => `${recording}/`;
