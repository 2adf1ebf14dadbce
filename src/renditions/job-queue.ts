import type { GatewayError } from '../errors.ts';

/** Runs a bounded number of jobs at a time; further ones wait in a bounded queue. */
export class JobQueue {
  readonly #running: number;
  readonly #waiting: number;
  readonly #busy: () => GatewayError;
  readonly #queue: Array<() => void> = [];
  #active = 0;

  /**
   * @param running maximum number of jobs at a time
   * @param waiting maximum number of jobs that wait
   * @param busy the error for those that cannot wait any more
   */
  constructor(running: number, waiting: number, busy: () => GatewayError) {
    this.#running = running;
    this.#waiting = waiting;
    this.#busy = busy;
  }

  /** @throws {GatewayError} `busy` if the queue is full; what the job throws */
  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#active >= this.#running) {
      if (this.#queue.length >= this.#waiting) throw this.#busy();
      // Woken by a job that has ended, whose place it takes.
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    } else this.#active++;
    try {
      return await job();
    } finally {
      const next = this.#queue.shift();
      if (next) next();
      else this.#active--;
    }
  }
}
