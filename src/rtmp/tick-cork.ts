import type { Duplex } from 'node:stream';
import { atEndOfTick } from '../runtime/tick.ts';

/** Holds back what is written to a socket within one event-loop tick, so that it is sent in one system call. */
export class TickCork {
  readonly #socket: Duplex;
  #corked = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /** Holds back everything until the end of this tick. */
  hold(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    atEndOfTick(this.release);
  }

  /** Sends what is held back. */
  readonly release = (): void => {
    if (!this.#corked) return;
    this.#corked = false;
    this.#socket.uncork();
  };
}
