export interface Backoff {
  /** Milliseconds before the first retry, and before every retry if there is no cap. */
  readonly intervalMs: number;
  /** Longest delay of the exponential backoff, in milliseconds; 0: the delay is fixed, as in WCS. */
  readonly capMs: number;
}

/**
 * Milliseconds to wait before retry number `attempt` (from 0). The delay doubles with each attempt, up to the cap.
 *
 * @param random 0 to 1, for the jitter that keeps many clients from returning at the same moment: half of the delay is
 * fixed, half random, so that none comes at once. Unset: no jitter
 */
export function backoffMs({ intervalMs, capMs }: Backoff, attempt: number, random = 1): number {
  if (capMs === 0) return intervalMs;
  const doubled = Math.min(capMs, intervalMs * 2 ** attempt);
  return Math.round(doubled / 2 + (doubled / 2) * random);
}

/** Runs work one after the other, in the order of the calls. A failure is that of its caller and stops nothing else. */
export class SerialWork {
  #last: Promise<unknown> = Promise.resolve();
  #size = 0;

  /** Work that runs or waits. */
  get size(): number {
    return this.#size;
  }

  /** @throws what the work throws */
  run<T>(work: () => T | PromiseLike<T>): Promise<T> {
    this.#size++;
    const done = this.#last.then(work).finally(() => void this.#size--);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Resolves when the work that was added before has ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}

/** Runs the work of one key once at a time: calls during a run share its result. */
export class SingleFlight<K, T> {
  readonly #running = new Map<K, Promise<T>>();

  /** Keys whose work runs. */
  get size(): number {
    return this.#running.size;
  }

  get(key: K): Promise<T> | undefined {
    return this.#running.get(key);
  }

  /** @throws what the work throws, for every call */
  run(key: K, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key);
    if (running) return running;
    const started = work().finally(() => this.#running.delete(key));
    this.#running.set(key, started);
    return started;
  }

  /** Resolves when all work that runs now has ended, well or not. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running.values());
  }
}

export interface SharedRun<T> {
  (): Promise<T>;
  /** The run of this moment. */
  readonly running: Promise<T> | undefined;
}

/** A function that runs `work` once at a time: calls during a run share its result. */
export function sharedRun<T>(work: () => Promise<T>): SharedRun<T> {
  const flight = new SingleFlight<undefined, T>();
  const run = () => flight.run(undefined, work);
  return Object.defineProperty(run, 'running', { get: () => flight.get(undefined) }) as SharedRun<T>;
}
