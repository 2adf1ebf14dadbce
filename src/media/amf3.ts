import { Amf0Error, EcmaArray, newObject, ReferenceTable } from './amf-reading.ts';
import type { Amf0Object, Amf0Value, AmfBounds, AmfBytes } from './amf-reading.ts';

/** Adobe, Action Message Format AMF 3, January 2013, 3.1. */
const MARKER = {
  undefined: 0x00,
  null: 0x01,
  false: 0x02,
  true: 0x03,
  integer: 0x04,
  double: 0x05,
  string: 0x06,
  xmlDocument: 0x07,
  date: 0x08,
  array: 0x09,
  object: 0x0a,
  xml: 0x0b,
  byteArray: 0x0c,
  vectorInt: 0x0d,
  vectorUint: 0x0e,
  vectorDouble: 0x0f,
  vectorObject: 0x10,
  dictionary: 0x11,
} as const;

/** Classes that write themselves, as one value; the content of others is not known. */
const ONE_VALUE: ReadonlySet<string> = new Set([
  'flex.messaging.io.ArrayCollection',
  'flex.messaging.io.ArrayList',
  'flex.messaging.io.ObjectProxy',
]);

/** The properties of a class. */
interface Traits {
  readonly className: string;
  readonly names: readonly string[];
  /** Of the names. */
  readonly bytes: number;
  readonly dynamic: boolean;
  readonly external: boolean;
}

/**
 * Reads the AMF3 values of one message, which share their references. They become values of AMF0: vectors arrays,
 * dictionaries and arrays with names associative arrays, XML strings, and bytes `undefined`.
 */
export class Amf3Reader {
  readonly #bytes: AmfBytes;
  readonly #bounds: AmfBounds;
  readonly #strings: string[] = [];
  readonly #traits: Traits[] = [];
  readonly #complex: ReferenceTable;

  constructor(bytes: AmfBytes, bounds: AmfBounds) {
    this.#bytes = bytes;
    this.#bounds = bounds;
    this.#complex = new ReferenceTable(bounds);
  }

  /** @throws {Amf0Error} for truncated or malformed bytes, and for more depth or values than the bounds allow */
  value(depth: number): Amf0Value {
    this.#bounds.enter(depth);
    const marker = this.#bytes.byte();
    switch (marker) {
      case MARKER.undefined:
        return undefined;
      case MARKER.null:
        return null;
      case MARKER.false:
        return false;
      case MARKER.true:
        return true;
      case MARKER.integer:
        // 29 bits with a sign.
        return (this.#uint29() << 3) >> 3;
      case MARKER.double:
        return this.#bytes.double();
      case MARKER.string:
        return this.#string();
      case MARKER.xmlDocument:
      case MARKER.xml:
        return this.#referable(depth, (length) => this.#complex.addRead(depth, () => this.#bytes.text(length)));
      case MARKER.date:
        return this.#referable(depth, () => this.#complex.addRead(depth, () => new Date(this.#bytes.double())));
      case MARKER.array:
        return this.#referable(depth, (count) => this.#array(count, depth));
      case MARKER.object:
        return this.#referable(depth, (flags) => this.#object(flags, depth));
      case MARKER.byteArray:
        return this.#referable(depth, (length) => this.#complex.addRead(depth, () => void this.#bytes.take(length)));
      case MARKER.vectorInt:
        return this.#vector(depth, (at) => this.#bytes.buffer.readInt32BE(at), 4);
      case MARKER.vectorUint:
        return this.#vector(depth, (at) => this.#bytes.buffer.readUInt32BE(at), 4);
      case MARKER.vectorDouble:
        return this.#vector(depth, (at) => this.#bytes.buffer.readDoubleBE(at), 8);
      case MARKER.vectorObject:
        return this.#referable(depth, (count) => {
          this.#bytes.byte(); // Whether its length is fixed.
          this.#string(); // The class of its items.
          const items: Amf0Value[] = [];
          return this.#complex.add(items, depth, () => this.#items(items, count, depth));
        });
      case MARKER.dictionary:
        return this.#referable(depth, (count) => this.#dictionary(count, depth));
      default:
        throw new Amf0Error(`AMF3 marker ${marker} is not supported`);
    }
  }

  /** A value that has been read before, or a new one: `read` gets its length, count or flags. */
  #referable(depth: number, read: (rest: number) => Amf0Value): Amf0Value {
    const head = this.#uint29();
    return (head & 1) === 0 ? this.#complex.get(head >> 1, depth) : read(head >> 1);
  }

  #array(count: number, depth: number): Amf0Value {
    // The empty name ends the named items. An array without them, the usual one, begins with it.
    const first = this.#string();
    const items: Amf0Value[] = [];
    if (first === '') return this.#complex.add(items, depth, () => this.#items(items, count, depth));
    const entries = newObject();
    return this.#complex.add(new EcmaArray(entries), depth, () => {
      this.#named(entries, depth, first);
      this.#items(items, count, depth);
      for (const [index, item] of items.entries()) entries[index] = item;
    });
  }

  #items(items: Amf0Value[], count: number, depth: number): void {
    for (let index = 0; index < count; index++) items.push(this.value(depth + 1));
  }

  /** Names and values, to the empty name. */
  #named(entries: Amf0Object, depth: number, first = this.#string()): void {
    for (let name = first; name !== ''; name = this.#string()) entries[name] = this.value(depth + 1);
  }

  #object(flags: number, depth: number): Amf0Value {
    const { className, names, dynamic, external } = this.#traitsOf(flags);
    if (external) {
      if (!ONE_VALUE.has(className)) throw new Amf0Error('AMF3 object of a class whose content is not known');
      return this.#complex.addRead(depth, () => this.value(depth + 1));
    }
    const entries = newObject();
    return this.#complex.add(entries, depth, () => {
      for (const name of names) entries[name] = this.value(depth + 1);
      if (dynamic) this.#named(entries, depth);
    });
  }

  /** @param flags without the lowest bit, which says that the object is a new one */
  #traitsOf(flags: number): Traits {
    if ((flags & 1) === 0) {
      const known = this.#traits[flags >> 1];
      if (!known) throw new Amf0Error('AMF reference leads nowhere');
      this.#bounds.repeat(known.bytes);
      return known;
    }
    const external = (flags & 2) !== 0;
    const dynamic = (flags & 4) !== 0;
    const className = this.#string();
    const names: string[] = [];
    // Each name has a byte at least, so the length of the message bounds them.
    for (let count = external ? 0 : flags >> 3; names.length < count;) names.push(this.#string());
    const bytes = names.reduce((sum, name) => sum + name.length, 0);
    const traits = { className, names, bytes, dynamic, external };
    this.#traits.push(traits);
    return traits;
  }

  #vector(depth: number, read: (at: number) => number, size: number): Amf0Value {
    return this.#referable(depth, (count) => {
      this.#bytes.byte(); // Whether its length is fixed.
      return this.#complex.addRead(depth, () => {
        this.#bounds.enter(depth, count);
        const start = this.#bytes.take(count * size);
        return Array.from({ length: count }, (_, index) => read(start + index * size));
      });
    });
  }

  /** Keys that are no text or number are left out. */
  #dictionary(count: number, depth: number): Amf0Value {
    this.#bytes.byte(); // Whether its keys are weak.
    const entries = newObject();
    return this.#complex.add(new EcmaArray(entries), depth, () => {
      for (let index = 0; index < count; index++) {
        const key = this.value(depth + 1);
        const value = this.value(depth + 1);
        if (typeof key === 'string' || typeof key === 'number') entries[key] = value;
      }
    });
  }

  #string(): string {
    const head = this.#uint29();
    if ((head & 1) === 0) {
      const known = this.#strings[head >> 1];
      if (known === undefined) throw new Amf0Error('AMF reference leads nowhere');
      this.#bounds.repeat(known.length);
      return known;
    }
    const text = this.#bytes.text(head >> 1);
    // The empty string is never referred to.
    if (text !== '') this.#strings.push(text);
    return text;
  }

  /** One to four bytes: seven bits of each, and all eight of a fourth. */
  #uint29(): number {
    let value = 0;
    for (let index = 0; index < 3; index++) {
      const byte = this.#bytes.byte();
      value = (value << 7) | (byte & 0x7f);
      if (byte < 0x80) return value;
    }
    return (value << 8) | this.#bytes.byte();
  }
}
