/**
 * AMF0, the data format of RTMP's commands and of `onMetaData` (Adobe, Action Message Format AMF 0, December 2007).
 * Input is untrusted, so depth and the number of values are bounded; memory is bounded by the length of the input.
 */
import { Amf0Error, AmfBounds, AmfBytes, EcmaArray, MAX_DEPTH, newObject, ReferenceTable } from './amf-reading.ts';
import type { Amf0Object, Amf0Value } from './amf-reading.ts';
import { Amf3Reader } from './amf3.ts';

export { Amf0Error, EcmaArray } from './amf-reading.ts';
export type { Amf0Object, Amf0Value } from './amf-reading.ts';

const MARKER = {
  number: 0x00,
  boolean: 0x01,
  string: 0x02,
  object: 0x03,
  null: 0x05,
  undefined: 0x06,
  reference: 0x07,
  ecmaArray: 0x08,
  objectEnd: 0x09,
  strictArray: 0x0a,
  date: 0x0b,
  longString: 0x0c,
  unsupported: 0x0d,
  xmlDocument: 0x0f,
  typedObject: 0x10,
  amf3: 0x11,
} as const;

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
 * objects lose their class name; XML documents are strings. Values in AMF3 become values of AMF0.
 *
 * @throws {Amf0Error} for truncated or malformed bytes, and for more depth or values than the bounds allow.
 */
export function decodeAmf0(buffer: Buffer): Amf0Value[] {
  const { values, fault } = decodeAmf0Start(buffer);
  if (fault) throw fault;
  return values;
}

/**
 * The values in `buffer` up to the first fault. An object or an associative array in which the fault is has the
 * properties before it.
 */
export function decodeAmf0Start(buffer: Buffer): { readonly values: Amf0Value[]; readonly fault?: Amf0Error } {
  const reader = new Reader(buffer);
  const values: Amf0Value[] = [];
  try {
    while (!reader.atEnd) values.push(reader.value(0));
    return { values };
  } catch (error) {
    if (!(error instanceof Amf0Error)) throw error;
    if (reader.unfinished !== undefined) values.push(reader.unfinished);
    return { values, fault: error };
  }
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
  readonly #bytes: AmfBytes;
  readonly #bounds: AmfBounds;
  readonly #complex: ReferenceTable;
  readonly #amf3: Amf3Reader;
  #unfinished: Amf0Value;

  constructor(buffer: Buffer) {
    this.#bytes = new AmfBytes(buffer);
    this.#bounds = new AmfBounds(this.#bytes);
    this.#complex = new ReferenceTable(this.#bounds);
    this.#amf3 = new Amf3Reader(this.#bytes, this.#bounds);
  }

  get atEnd(): boolean {
    return this.#bytes.atEnd;
  }

  /** Bytes that have been read. */
  get position(): number {
    return this.#bytes.position;
  }

  /** The outermost object that is being read. */
  get unfinished(): Amf0Value {
    return this.#unfinished;
  }

  value(depth: number): Amf0Value {
    this.#bounds.enter(depth);
    const bytes = this.#bytes;
    const marker = bytes.byte();
    switch (marker) {
      case MARKER.number:
        return bytes.double();
      case MARKER.boolean:
        return bytes.byte() !== 0;
      case MARKER.string:
        return bytes.text(this.#uint16());
      case MARKER.longString:
      case MARKER.xmlDocument:
        return bytes.text(this.#uint32());
      case MARKER.null:
        return null;
      case MARKER.undefined:
      case MARKER.unsupported:
        return undefined;
      case MARKER.reference:
        return this.#complex.get(this.#uint16(), depth);
      case MARKER.object:
        return this.#object(depth);
      case MARKER.typedObject:
        bytes.text(this.#uint16());
        return this.#object(depth);
      case MARKER.ecmaArray: {
        // The count is only a hint, and some encoders write 0. The end marker decides.
        bytes.take(4);
        const entries = newObject();
        return this.#fill(new EcmaArray(entries), depth, () => this.#properties(entries, depth));
      }
      case MARKER.strictArray:
        return this.#strictArray(depth);
      case MARKER.date: {
        const milliseconds = bytes.double();
        bytes.take(2); // Time zone: reserved, always to be ignored.
        return new Date(milliseconds);
      }
      case MARKER.amf3:
        return this.#amf3.value(depth);
      default:
        throw new Amf0Error(`AMF0 marker ${marker} is not supported`);
    }
  }

  #object(depth: number): Amf0Value {
    const entries = newObject();
    return this.#fill(entries, depth, () => this.#properties(entries, depth));
  }

  #strictArray(depth: number): Amf0Value {
    const count = this.#uint32();
    const items: Amf0Value[] = [];
    return this.#complex.add(items, depth, () => {
      for (let index = 0; index < count; index++) items.push(this.value(depth + 1));
    });
  }

  #fill(value: Amf0Value, depth: number, read: () => void): Amf0Value {
    if (depth === 0) this.#unfinished = value;
    this.#complex.add(value, depth, read);
    if (depth === 0) this.#unfinished = undefined;
    return value;
  }

  #properties(entries: Amf0Object, depth: number): void {
    for (;;) {
      const length = this.#uint16();
      if (length === 0 && this.#bytes.next === MARKER.objectEnd) {
        this.#bytes.take(1);
        return;
      }
      const key = this.#bytes.text(length);
      entries[key] = this.value(depth + 1);
    }
  }

  #uint16(): number {
    return this.#bytes.buffer.readUInt16BE(this.#bytes.take(2));
  }

  #uint32(): number {
    return this.#bytes.buffer.readUInt32BE(this.#bytes.take(4));
  }
}
