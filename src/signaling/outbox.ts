/** The part of a WebSocket that an outbox writes to. */
export interface OutboxSocket {
  readonly readyState: number;
  readonly OPEN: number;
  /** Bytes that the operating system has not taken yet. */
  readonly bufferedAmount: number;
  send(text: string, sent: (error?: Error) => void): void;
  terminate(): void;
}

/** Sends messages to a client and bounds what waits for it: a client that does not read is disconnected. */
export class Outbox {
  readonly #socket: OutboxSocket;
  readonly #maxQueuedBytes: number;
  readonly #onOverflow: (queuedBytes: number) => void;
  #largeBytes = 0;

  /**
   * @param maxQueuedBytes bytes that may wait besides one large message (`max_ws_queued_kb`): more wait only for a
   * client that does not read
   */
  constructor(socket: OutboxSocket, maxQueuedBytes: number, onOverflow: (queuedBytes: number) => void) {
    this.#socket = socket;
    this.#maxQueuedBytes = maxQueuedBytes;
    this.#onOverflow = onOverflow;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  send(text: string): void {
    if (!this.isOpen || !this.#fits(Buffer.byteLength(text))) return;
    this.#socket.send(text, () => undefined);
  }

  /**
   * Sends a message that may be larger than the bound. The caller sends the next one when this one has left.
   *
   * @returns a promise that resolves when the operating system has taken the message, or the socket is closed
   */
  async sendLarge(text: string): Promise<void> {
    if (!this.isOpen || !this.#fits(0)) return;
    if (this.#largeBytes > 0) throw new Error('a large message is being sent already');
    this.#largeBytes = Buffer.byteLength(text);
    await new Promise<void>((resolve) => this.#socket.send(text, () => resolve()));
    this.#largeBytes = 0;
  }

  #fits(bytes: number): boolean {
    const queued = this.#socket.bufferedAmount - this.#largeBytes + bytes;
    if (queued <= this.#maxQueuedBytes) return true;
    this.#onOverflow(this.#socket.bufferedAmount);
    this.#socket.terminate();
    return false;
  }
}
