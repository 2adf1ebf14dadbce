import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';

export interface DrainOptions {
  /** Number of streams to wait for. */
  readonly streams: () => number;
  /** Milliseconds after which the gateway ends although streams run; 0: no limit. */
  readonly timeoutMs: number;
  /** Called once, at the beginning. */
  readonly onBegin: () => void;
  readonly logger: Logger;
}

/** Milliseconds between two looks at the number of streams. */
export const DRAIN_POLL_MS = 250;

/** The end of a gateway without ending its streams: new ones are refused, and it waits for those that run. */
export class Drain {
  readonly #options: DrainOptions;
  readonly #finished = Promise.withResolvers<void>();
  #draining = false;
  #moving = true;
  #poll: NodeJS.Timeout | undefined;
  #limit: NodeJS.Timeout | undefined;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Whether streams are to go to other gateways, where there are some. */
  get moving(): boolean {
    return this.#draining && this.#moving;
  }

  /** Resolves when the last stream has ended, or the time is over. Never without {@link begin}. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** @throws {GatewayError} SHUTTING_DOWN while the gateway drains */
  check(): void {
    if (this.#draining)
      throw new GatewayError('SHUTTING_DOWN', 'The gateway takes no new streams, because it is about to end.');
  }

  /**
   * Idempotent.
   *
   * @param move whether streams go to other gateways of the cluster, or run until they end. Unset: as it was said last,
   * and they move at first
   */
  begin(move = this.#moving): void {
    this.#moving = move;
    if (this.#draining) return;
    this.#draining = true;
    const { streams, timeoutMs, onBegin, logger } = this.#options;
    logger.info({ streams: streams(), timeoutMs }, 'draining: new streams are refused');
    onBegin();
    this.#poll = setInterval(() => {
      if (streams() === 0) this.#finish();
    }, DRAIN_POLL_MS);
    if (timeoutMs > 0) this.#limit = setTimeout(() => this.#finish(), timeoutMs);
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#limit);
  }

  #finish(): void {
    this.close();
    this.#options.logger.info({ streams: this.#options.streams() }, 'drained');
    this.#finished.resolve();
  }
}
