import type { Destination } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import { NO_COUNTERS, sumCounters, type OutputCounters } from '../output.ts';

interface Connection extends OutputCounters {
  close(): Promise<void>;
}

/** A connection that the server has asked for, and that takes over when it pushes. */
export interface Replacement<C> {
  readonly connection: C;
  readonly place: Destination;
}

/** The connections of a leg: the one in use, its replacement, and those that are being closed. Counts what all have sent. */
export class LegConnections<C extends Connection> {
  readonly #logger: Logger;
  #current: C | undefined;
  #replacement: Replacement<C> | undefined;
  #closed: Promise<void> = Promise.resolve();
  /** Counters of the connections that are over. */
  #past = NO_COUNTERS;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get current(): C | undefined {
    return this.#current;
  }

  get replacement(): Replacement<C> | undefined {
    return this.#replacement;
  }

  /** Resolves when the connections that are over have closed. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  get counters(): OutputCounters {
    return sumCounters([this.#past, ...this.#open]);
  }

  use(connection: C): void {
    this.#current = connection;
  }

  offer(replacement: Replacement<C>): void {
    this.#replacement = replacement;
  }

  /** The replacement takes the place of the connection in use. */
  adopt(): Replacement<C> {
    const replacement = this.#replacement!;
    this.#retire([this.#current!]);
    this.#current = replacement.connection;
    this.#replacement = undefined;
    return replacement;
  }

  dropReplacement(): void {
    if (this.#replacement) this.#retire([this.#replacement.connection]);
    this.#replacement = undefined;
  }

  close(): void {
    this.#retire(this.#open);
    this.#current = undefined;
    this.#replacement = undefined;
  }

  get #open(): readonly C[] {
    return [this.#current, this.#replacement?.connection].filter((each) => each !== undefined);
  }

  #retire(connections: readonly C[]): void {
    this.#past = sumCounters([this.#past, ...connections]);
    const closing = connections.map((connection) =>
      connection.close().catch((error: unknown) => this.#logger.error({ err: error }, 'closing a pusher failed')),
    );
    this.#closed = Promise.all([this.#closed, ...closing]).then(() => undefined);
  }
}
