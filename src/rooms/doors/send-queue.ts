import { performance } from 'node:perf_hooks'; // the global one is looked up on every use

/** Milliseconds for which one event-loop tick sends. */
const SLICE_MS = 2;
/** Sends between two looks at the clock. */
const SENDS_PER_LOOK = 8;
/** What may wait: ten messages to a thousand members, or one of the longest texts to each of them. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 32 * 1024 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly send: () => void;
}

/**
 * Spreads the sends of a door over event-loop ticks, in their order: a message to a thousand members takes ten
 * milliseconds, and media shares the event loop.
 */
export class SendQueue {
  #waiting: Waiting[] = [];
  #next = 0;
  #bytes = 0;
  #scheduled = false;

  /** @param send must not throw */
  add(bytes: number, send: () => void): void {
    this.#waiting.push({ bytes, send });
    this.#bytes += bytes;
    // Bounds the memory of a gateway that does not keep up: while it sends, it reads nothing more from its clients.
    while (this.#waiting.length - this.#next > MAX_WAITING || this.#bytes > MAX_WAITING_BYTES) this.#sendNext();
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#sendSlice);
  }

  /** Sends everything that waits. */
  flush(): void {
    while (this.#next < this.#waiting.length) this.#sendNext();
    this.#waiting = [];
    this.#next = 0;
  }

  readonly #sendSlice = (): void => {
    const until = performance.now() + SLICE_MS;
    do {
      for (let sent = 0; sent < SENDS_PER_LOOK && this.#next < this.#waiting.length; sent++) this.#sendNext();
    } while (this.#next < this.#waiting.length && performance.now() < until);
    this.#waiting = this.#waiting.slice(this.#next);
    this.#next = 0;
    this.#scheduled = this.#waiting.length > 0;
    if (this.#scheduled) setImmediate(this.#sendSlice);
  };

  #sendNext(): void {
    const { bytes, send } = this.#waiting[this.#next++]!;
    this.#bytes -= bytes;
    send();
  }
}
