const FIRST_BYTES = 4096;

/**
 * Copies of pieces of bytes that outlive an event-loop tick, in memory that is used again. To hold the pieces
 * themselves is expensive: each is a view that keeps the whole read buffer alive, V8 takes what has survived two
 * scavenges (a tenth of a second) for long-lived, and collects the whole heap again and again to free it.
 */
export class KeptBytes {
  #memory = Buffer.alloc(0);
  /** Where each piece ends. */
  readonly #ends: number[] = [];

  /** The number of pieces. */
  get length(): number {
    return this.#ends.length;
  }

  push(piece: Buffer): void {
    const start = this.#used;
    const end = start + piece.length;
    if (end > this.#memory.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, 2 * end));
      this.#memory.copy(larger, 0, 0, start);
      this.#memory = larger;
    }
    piece.copy(this.#memory, start);
    this.#ends.push(end);
  }

  /** Views of the pieces, valid until the next {@link push} after a {@link clear}. */
  views(): Buffer[] {
    return this.#split(this.#memory);
  }

  /** The pieces in memory of their own. */
  copies(): Buffer[] {
    return this.#split(Buffer.from(this.#memory.subarray(0, this.#used)));
  }

  clear(): void {
    this.#ends.length = 0;
  }

  get #used(): number {
    return this.#ends[this.#ends.length - 1] ?? 0;
  }

  #split(bytes: Buffer): Buffer[] {
    return this.#ends.map((end, index) => bytes.subarray(this.#ends[index - 1] ?? 0, end));
  }
}
