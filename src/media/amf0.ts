/**
 * AMF0, the data format of RTMP's commands and of `onMetaData` (Adobe, Action Message Format AMF 0, December 2007).
 * Input is untrusted, so depth and the number of values are bounded; memory is bounded by the length of the input.
 */

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

/** The bytes are not AMF0, or exceed the bounds. */
export class Amf0Error extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Amf0Error';
  }
}

const MARKER = {
  number: 0x00,
  boolean: 0x01,
  string: 0x02,
  object: 0x03,
  null: 0x05,
  undefined: 0x06,
  ecmaArray: 0x08,
  objectEnd: 0x09,
  strictArray: 0x0a,
  date: 0x0b,
  longString: 0x0c,
  unsupported: 0x0d,
  xmlDocument: 0x0f,
  typedObject: 0x10,
} as const;

/** Deeper than the messages of all known servers, and safe for the stack. */
const MAX_DEPTH = 32;
/** A recording server's `onMetaData` can list some thousand key frames; a hundred thousand is an attack. */
const MAX_VALUES = 100_000;
/** Longer strings need the long form, with 32 bits of length. */
const MAX_SHORT_STRING = 0xffff;

const OBJECT_END = Buffer.from([0, 0, MARKER.objectEnd]);

/** @throws {Amf0Error} for a value that is nested too deeply, or a key over 65 535 bytes. */
export function encodeAmf0(...values: readonly Amf0Value[]): Buffer {
  const parts: Buffer[] = [];
  for (const value of values) encodeValue(value, parts, 0);
  return Buffer.concat(parts);
}

function encodeValue(value: Amf0Value, parts: Buffer[], depth: number): void {
  if (depth > MAX_DEPTH) throw new Amf0Error('AMF0 value is nested too deeply');
  if (typeof value === 'string') return encodeString(value, parts);
  if (typeof value === 'number') {
    const bytes = Buffer.allocUnsafe(9);
    bytes[0] = MARKER.number;
    bytes.writeDoubleBE(value, 1);
    parts.push(bytes);
  } else if (typeof value === 'boolean') {
    parts.push(Buffer.from([MARKER.boolean, value ? 1 : 0]));
  } else if (value === undefined) {
    parts.push(Buffer.from([MARKER.undefined]));
  } else if (value === null) {
    parts.push(Buffer.from([MARKER.null]));
  } else if (value instanceof Date) {
    const bytes = Buffer.alloc(11);
    bytes[0] = MARKER.date;
    bytes.writeDoubleBE(value.getTime(), 1);
    parts.push(bytes);
  } else if (Array.isArray(value)) {
    parts.push(markerWithCount(MARKER.strictArray, value.length));
    for (const item of value) encodeValue(item, parts, depth + 1);
  } else if (value instanceof EcmaArray) {
    parts.push(markerWithCount(MARKER.ecmaArray, Object.keys(value.entries).length));
    encodeProperties(value.entries, parts, depth);
  } else {
    parts.push(Buffer.from([MARKER.object]));
    encodeProperties(value, parts, depth);
  }
}

function encodeString(value: string, parts: Buffer[]): void {
  const text = Buffer.from(value);
  const long = text.length > MAX_SHORT_STRING;
  const head = Buffer.allocUnsafe(long ? 5 : 3);
  head[0] = long ? MARKER.longString : MARKER.string;
  if (long) head.writeUInt32BE(text.length, 1);
  else head.writeUInt16BE(text.length, 1);
  parts.push(head, text);
}

function encodeProperties(entries: Amf0Object, parts: Buffer[], depth: number): void {
  for (const [key, value] of Object.entries(entries)) {
    const name = Buffer.from(key);
    if (name.length > MAX_SHORT_STRING) throw new Amf0Error('AMF0 key is longer than 65535 bytes');
    const length = Buffer.allocUnsafe(2);
    length.writeUInt16BE(name.length);
    parts.push(length, name);
    encodeValue(value, parts, depth + 1);
  }
  parts.push(OBJECT_END);
}

function markerWithCount(marker: number, count: number): Buffer {
  const bytes = Buffer.allocUnsafe(5);
  bytes[0] = marker;
  bytes.writeUInt32BE(count, 1);
  return bytes;
}

/**
 * All values in `buffer`, to its end. Objects have no prototype, so keys such as `__proto__` are harmless. Typed
 * objects lose their class name; XML documents are strings.
 *
 * @throws {Amf0Error} for truncated or malformed bytes, references, AMF3, and for more depth or values than the bounds
 * allow.
 */
export function decodeAmf0(buffer: Buffer): Amf0Value[] {
  const reader = new Reader(buffer);
  const values: Amf0Value[] = [];
  while (!reader.atEnd) values.push(reader.value(0));
  return values;
}

/**
 * The first value in `buffer`, and the number of its bytes.
 *
 * @throws {Amf0Error} as {@link decodeAmf0}
 */
export function decodeAmf0Value(buffer: Buffer): { readonly value: Amf0Value; readonly bytes: number } {
  const reader = new Reader(buffer);
  return { value: reader.value(0), bytes: reader.position };
}

class Reader {
  readonly #buffer: Buffer;
  #position = 0;
  #values = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  get atEnd(): boolean {
    return this.#position >= this.#buffer.length;
  }

  /** Bytes that have been read. */
  get position(): number {
    return this.#position;
  }

  value(depth: number): Amf0Value {
    if (depth > MAX_DEPTH) throw new Amf0Error('AMF0 value is nested too deeply');
    if (++this.#values > MAX_VALUES) throw new Amf0Error('AMF0 message has too many values');
    const marker = this.#buffer[this.#take(1)]!;
    switch (marker) {
      case MARKER.number:
        return this.#buffer.readDoubleBE(this.#take(8));
      case MARKER.boolean:
        return this.#buffer[this.#take(1)] !== 0;
      case MARKER.string:
        return this.#text(this.#uint16());
      case MARKER.longString:
      case MARKER.xmlDocument:
        return this.#text(this.#uint32());
      case MARKER.null:
        return null;
      case MARKER.undefined:
      case MARKER.unsupported:
        return undefined;
      case MARKER.object:
        return this.#properties(depth);
      case MARKER.typedObject:
        this.#text(this.#uint16());
        return this.#properties(depth);
      case MARKER.ecmaArray:
        // The count is only a hint, and some encoders write 0. The end marker decides.
        this.#take(4);
        return new EcmaArray(this.#properties(depth));
      case MARKER.strictArray:
        return this.#strictArray(depth);
      case MARKER.date: {
        const milliseconds = this.#buffer.readDoubleBE(this.#take(8));
        this.#take(2); // Time zone: reserved, always to be ignored.
        return new Date(milliseconds);
      }
      default:
        throw new Amf0Error(`AMF0 marker ${marker} is not supported`);
    }
  }

  #strictArray(depth: number): Amf0Value[] {
    const count = this.#uint32();
    const items: Amf0Value[] = [];
    for (let index = 0; index < count; index++) items.push(this.value(depth + 1));
    return items;
  }

  #properties(depth: number): Amf0Object {
    const entries = Object.create(null) as Amf0Object;
    for (;;) {
      const length = this.#uint16();
      if (length === 0 && this.#buffer[this.#position] === MARKER.objectEnd) {
        this.#position++;
        return entries;
      }
      const key = this.#text(length);
      entries[key] = this.value(depth + 1);
    }
  }

  #text(length: number): string {
    const start = this.#take(length);
    return this.#buffer.toString('utf8', start, start + length);
  }

  #uint16(): number {
    return this.#buffer.readUInt16BE(this.#take(2));
  }

  #uint32(): number {
    return this.#buffer.readUInt32BE(this.#take(4));
  }

  /** Skips `length` bytes and returns their position. */
  #take(length: number): number {
    const start = this.#position;
    if (length > this.#buffer.length - start) throw new Amf0Error('AMF0 message is truncated');
    this.#position += length;
    return start;
  }
}
