import type { Logger } from '../observe/logger.ts';
import { closeAll } from './close-all.ts';

/** The parts of a process. They close in the opposite order of that in which they were added, and none is skipped. */
export class Assembly {
  readonly #closes: (() => unknown)[] = [];
  readonly #lastCloses: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  /**
   * Puts something together. If that fails, the parts that were added are closed again.
   *
   * @throws what `build` throws
   */
  static async build<T>(logger: Logger, build: (assembly: Assembly) => Promise<T>): Promise<T> {
    const assembly = new Assembly();
    try {
      return await build(assembly);
    } catch (error) {
      await assembly.close().catch((failure: unknown) => logger.error({ err: failure }, 'closing failed'));
      throw error;
    }
  }

  /** Closes before the parts that were added earlier, which it uses. @returns the part */
  add<T extends { close(): unknown } | undefined>(part: T): T {
    if (part) this.onClose(() => part.close());
    return part;
  }

  /** As {@link add}, for what is closed in another way. */
  onClose(close: () => unknown): void {
    this.#closes.unshift(close);
  }

  /** Closes after all other parts. @returns the part */
  addLast<T extends { close(): unknown }>(part: T): T {
    this.#lastCloses.push(() => part.close());
    return part;
  }

  /** Idempotent. @throws the failure of a part, or an AggregateError of all failures */
  close(): Promise<void> {
    this.#closing ??= closeAll([...this.#closes, ...this.#lastCloses].map((close) => ({ close })));
    return this.#closing;
  }
}
