/** Reading and writing of bit fields, most significant bit first, as in the bit streams of H.264, VP9, AV1 and AAC. */

/**
 * Reads bits. Past the end it throws a `RangeError`, so that a parser of untrusted bytes needs one `try` and no checks.
 */
export class BitReader {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Bits read so far. */
  get position(): number {
    return this.#position;
  }

  bit(): number {
    const byte = this.#bytes[this.#position >> 3];
    if (byte === undefined) throw new RangeError('bit stream ends too early');
    return (byte >> (7 - (this.#position++ & 7))) & 1;
  }

  /** An unsigned number of 0 to 32 bits. */
  bits(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) value = value * 2 + this.bit();
    return value;
  }

  skip(count: number): void {
    this.#position += count;
    if (this.#position > this.#bytes.length * 8) throw new RangeError('bit stream ends too early');
  }

  /** Exp-Golomb ue(v), ITU-T H.264 9.1; AV1's uvlc() is the same code. */
  unsignedGolomb(): number {
    let zeros = 0;
    while (this.bit() === 0) if (++zeros > 31) throw new RangeError('Exp-Golomb code is too long');
    return 2 ** zeros - 1 + this.bits(zeros);
  }

  /** Exp-Golomb se(v), ITU-T H.264 9.1.1. */
  signedGolomb(): number {
    const code = this.unsignedGolomb();
    return code % 2 === 0 ? -code / 2 : (code + 1) / 2;
  }
}

/** Collects bits; the last byte is filled up with zeros. */
export class BitWriter {
  readonly #bytes: number[] = [];
  #length = 0;

  /** Appends the lowest `count` (at most 32) bits of a value. */
  bits(count: number, value: number): this {
    for (let i = count - 1; i >= 0; i--) {
      if ((this.#length & 7) === 0) this.#bytes.push(0);
      this.#bytes[this.#length >> 3]! |= ((value >>> i) & 1) << (7 - (this.#length & 7));
      this.#length++;
    }
    return this;
  }

  /** Exp-Golomb ue(v), ITU-T H.264 9.1, of a number below 2^31. */
  unsignedGolomb(value: number): this {
    const zeros = 31 - Math.clz32(value + 1);
    return this.bits(zeros, 0).bits(zeros + 1, value + 1);
  }

  /** Exp-Golomb se(v), ITU-T H.264 9.1.1. */
  signedGolomb(value: number): this {
    return this.unsignedGolomb(value > 0 ? 2 * value - 1 : -2 * value);
  }

  /** Fills the last byte up with ones or zeros. */
  align(bit: 0 | 1): this {
    while (this.#length & 7) this.bits(1, bit);
    return this;
  }

  toBuffer(): Buffer {
    return Buffer.from(this.#bytes);
  }
}
