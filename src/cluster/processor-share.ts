import { availableParallelism } from 'node:os';

/** The share of all cores that this process and others use. */
export class ProcessorShare {
  readonly #others: () => number;
  #cpuUs = cpuUs();
  #atMs = performance.now();
  #share = 0;

  /** @param others cores that other processes of the gateway use */
  constructor(others: () => number) {
    this.#others = others;
  }

  /** Since the last call, 0 to 1. */
  read(): number {
    const [cpu, atMs] = [cpuUs(), performance.now()];
    const elapsedMs = atMs - this.#atMs;
    // Two calls in a row would measure nothing.
    if (elapsedMs > 100) {
      this.#share = (cpu - this.#cpuUs) / 1000 / elapsedMs;
      [this.#cpuUs, this.#atMs] = [cpu, atMs];
    }
    return Math.min(1, (this.#share + this.#others()) / availableParallelism());
  }
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
