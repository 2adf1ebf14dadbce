import { mkdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toGatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { CompleteSegment } from './segment-list.ts';
import { SerialWork } from '../../runtime/async.ts';

export interface DvrOptions {
  /** Has a folder for each rendition that is packaged. */
  readonly folder: string;
  /** With less free space nothing is written. */
  readonly minFreeBytes: number;
  readonly logger: Logger;
}

/** The older segments of one rendition, in a folder of its own that is deleted with it. */
export class DvrFolder {
  readonly #folder: string;
  readonly #minFreeBytes: number;
  readonly #logger: Logger;
  #ready: Promise<unknown> | undefined;
  readonly #work = new SerialWork();
  #fails = false;
  #closed = false;

  constructor(name: string, { folder, minFreeBytes, logger }: DvrOptions) {
    this.#folder = join(folder, name);
    this.#minFreeBytes = minFreeBytes;
    this.#logger = logger;
  }

  /** Writes a segment after those before. Never rejects. @returns whether it is on the disk */
  write({ msn, data }: CompleteSegment): Promise<boolean> {
    return this.#work.run(() => this.#write(msn, data));
  }

  /** @returns `undefined` if it is not there any more */
  async read(msn: number): Promise<Buffer | undefined> {
    return await readFile(this.#pathOf(msn)).catch(() => undefined);
  }

  /** Never rejects. */
  delete(msn: number): void {
    this.#work.run(() => rm(this.#pathOf(msn), { force: true })).catch(() => undefined);
  }

  /** Deletes everything. Never rejects. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#work.idle();
    await rm(this.#folder, { recursive: true, force: true }).catch((error: unknown) => {
      this.#logger.warn({ err: error }, 'a folder of HLS segments cannot be deleted');
    });
  }

  async #write(msn: number, data: readonly Buffer[]): Promise<boolean> {
    if (this.#closed) return false;
    try {
      this.#ready ??= mkdir(this.#folder, { recursive: true, mode: 0o750 });
      await this.#ready;
      const { bavail, bsize } = await statfs(this.#folder);
      if (bavail * bsize < this.#minFreeBytes) throw new Error('there is less free space than record_min_free_mb');
      await writeFile(this.#pathOf(msn), data);
      this.#fails = false;
      return true;
    } catch (error) {
      this.#ready = undefined;
      if (!this.#fails) {
        const { message } = toGatewayError(error);
        this.#logger.warn({ reason: message }, 'HLS segments cannot be written: viewers cannot rewind as far');
      }
      this.#fails = true;
      return false;
    }
  }

  #pathOf(msn: number): string {
    return join(this.#folder, `${msn}.m4s`);
  }
}
