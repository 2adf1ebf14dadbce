/** What the decoders of AMF0 and AMF3 share: values, and the bounds of untrusted input. */

/** An associative array. It differs from an object in a count on the wire, and players expect it in `onMetaData`. */
export class EcmaArray {
  readonly entries: Amf0Object;

  constructor(entries: Amf0Object) {
    this.entries = entries;
  }
}

export interface Amf0Object {
  [key: string]: Amf0Value;
}

export type Amf0Value = number | boolean | string | null | undefined | Date | Amf0Object | EcmaArray | Amf0Value[];

/** The bytes are not AMF, or exceed the bounds. */
export class Amf0Error extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Amf0Error';
  }
}

/** Deeper than the messages of all known servers, and safe for the stack. */
export const MAX_DEPTH = 32;
/** A recording server's `onMetaData` can list some thousand key frames; a hundred thousand is an attack. */
const MAX_VALUES = 100_000;
/** Bytes that references repeat, in all. */
const MAX_REPEATED = 1 << 20;

/** The bytes of one message. */
export class AmfBytes {
  readonly buffer: Buffer;
  #position = 0;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  get atEnd(): boolean {
    return this.#position >= this.buffer.length;
  }

  /** Bytes that have been read. */
  get position(): number {
    return this.#position;
  }

  /** The next byte, which is not skipped. */
  get next(): number | undefined {
    return this.buffer[this.#position];
  }

  /** Skips `length` bytes and returns their position. */
  take(length: number): number {
    const start = this.#position;
    if (length > this.buffer.length - start) throw new Amf0Error('AMF message is truncated');
    this.#position += length;
    return start;
  }

  byte(): number {
    return this.buffer[this.take(1)]!;
  }

  double(): number {
    return this.buffer.readDoubleBE(this.take(8));
  }

  text(length: number): string {
    const start = this.take(length);
    return this.buffer.toString('utf8', start, start + length);
  }
}

/** What a value costs when it is repeated. */
interface Size {
  readonly values: number;
  readonly bytes: number;
  /** The levels below it. */
  readonly height: number;
}

/**
 * Bounds depth and number of the values of one message, and what references repeat. A repeated value counts as if it
 * had been written out, so that who walks through a decoded message or encodes it again meets no more than that.
 */
export class AmfBounds {
  readonly #bytes: AmfBytes;
  #values = 0;
  #repeated = 0;
  /** The deepest value since the innermost {@link measure} began. */
  #deepest = 0;

  constructor(bytes: AmfBytes) {
    this.#bytes = bytes;
  }

  enter(depth: number, values = 1): void {
    if (depth > MAX_DEPTH) throw new Amf0Error('AMF value is nested too deeply');
    this.#values += values;
    if (this.#values > MAX_VALUES) throw new Amf0Error('AMF message has too many values');
    this.#deepest = Math.max(this.#deepest, depth);
  }

  repeat(bytes: number): void {
    this.#repeated += bytes;
    if (this.#repeated > MAX_REPEATED) throw new Amf0Error('AMF message repeats too much');
  }

  /** Runs `read`, and measures what it reads at `depth`. */
  measure(depth: number, read: () => void): Size {
    const [values, bytes, deepest] = [this.#values, this.#bytes.position + this.#repeated, this.#deepest];
    this.#deepest = depth;
    read();
    const height = this.#deepest - depth;
    this.#deepest = Math.max(deepest, this.#deepest);
    return { values: this.#values - values, bytes: this.#bytes.position + this.#repeated - bytes, height };
  }
}

interface Referable {
  value: Amf0Value;
  /** `undefined` while it is being read: a reference to it would be a cycle. */
  size?: Size;
}

/** The values to which later values may refer, in the order in which they began. */
export class ReferenceTable {
  readonly #bounds: AmfBounds;
  readonly #values: Referable[] = [];

  constructor(bounds: AmfBounds) {
    this.#bounds = bounds;
  }

  /** Adds a value, the content of which `read` reads: values in it may refer to it. */
  add(value: Amf0Value, depth: number, read: () => void): Amf0Value {
    return this.addRead(depth, () => (read(), value));
  }

  /** Adds the value that `read` returns. */
  addRead(depth: number, read: () => Amf0Value): Amf0Value {
    const entry: Referable = { value: undefined };
    this.#values.push(entry);
    entry.size = this.#bounds.measure(depth, () => (entry.value = read()));
    return entry.value;
  }

  /** A value inside itself is `undefined`. */
  get(index: number, depth: number): Amf0Value {
    const entry = this.#values[index];
    if (!entry) throw new Amf0Error('AMF reference leads nowhere');
    if (!entry.size) return undefined;
    this.#bounds.enter(depth + entry.size.height, entry.size.values);
    this.#bounds.repeat(entry.size.bytes);
    return entry.value;
  }
}

/** Without a prototype, so that keys such as `__proto__` are harmless. */
export const newObject = (): Amf0Object => Object.create(null) as Amf0Object;
