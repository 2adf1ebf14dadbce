import type { GatewayError } from '../errors.ts';

/** A lease of something shared. */
export interface Lease<T> {
  readonly value: T;
  /** Ends the lease; the end of the last one closes the object. Idempotent. */
  release(): Promise<void>;
}

interface Shareable {
  once(event: 'failed', listener: (error: GatewayError) => void): unknown;
  close(): Promise<void>;
}

/** An object that is shared by leases, and is closed when the last one ends. */
export class Shared<T extends Shareable> {
  readonly #value: Promise<T>;
  readonly #onForgotten: () => void;
  #current: T | undefined;
  #forgotten = false;
  #users = 0;

  /**
   * @param onForgotten called once when no further lease is possible: the last one has ended, or the object has failed
   */
  constructor(value: Promise<T>, onForgotten: () => void) {
    this.#value = value;
    this.#onForgotten = onForgotten;
    value.then(
      (current) => {
        this.#current = current;
        current.once('failed', () => this.#forget());
      },
      () => {},
    );
  }

  /** `undefined` while it is being made. */
  get current(): T | undefined {
    return this.#current;
  }

  async lease(): Promise<Lease<T>> {
    this.#users++;
    let held = true;
    const release = async (): Promise<void> => {
      if (!held) return;
      held = false;
      if (--this.#users > 0) return;
      this.#forget();
      await (await this.#value).close();
    };
    try {
      return { value: await this.#value, release };
    } catch (error) {
      held = false;
      if (--this.#users === 0) this.#forget();
      throw error;
    }
  }

  #forget(): void {
    if (this.#forgotten) return;
    this.#forgotten = true;
    this.#onForgotten();
  }
}
