import type { ZodType } from 'zod';
import type { Logger } from '../observe/logger.ts';

/** Turns values into stored text and back, and reports those that do not fit their schema. */
export class StoredValue<T> {
  readonly #schema: ZodType<T>;
  readonly #place: string;
  readonly #logger: Logger;

  /** @param place the namespace or queue, for the log */
  constructor(schema: ZodType<T>, place: string, logger: Logger) {
    this.#schema = schema;
    this.#place = place;
    this.#logger = logger;
  }

  write(value: T): string {
    return JSON.stringify(value);
  }

  /**
   * `undefined` for a value that does not fit. The log gets the place and the fields, not the value: it may be private.
   */
  read(text: string, key: string): { readonly value: T } | undefined {
    const result = this.#schema.safeParse(parseJson(text));
    if (result.success) return { value: result.data };
    const fields = result.error.issues.map(({ path }) => path.join('.') || '(whole)');
    this.#logger.warn({ place: this.#place, key, fields }, 'a stored value does not fit and is ignored');
    return undefined;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
