import type { Amf0Value } from '../../src/media/amf0.ts';

const uint29 = (value: number): Buffer => {
  if (value < 0x80) return Buffer.from([value]);
  if (value < 0x4000) return Buffer.from([(value >> 7) | 0x80, value & 0x7f]);
  if (value < 0x200000) return Buffer.from([(value >> 14) | 0x80, (value >> 7) | 0x80, value & 0x7f]);
  return Buffer.from([(value >> 22) | 0x80, (value >> 15) | 0x80, (value >> 8) | 0x80, value & 0xff]);
};

const double = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleBE(value);
  return bytes;
};

/** Writes AMF3 as Flash does: a text that has been written before is a reference. */
export class Amf3Writer {
  readonly #strings = new Map<string, number>();
  #hasTraits = false;

  value(value: Amf0Value): Buffer {
    if (value === undefined) return Buffer.from([0]);
    if (value === null) return Buffer.from([1]);
    if (typeof value === 'boolean') return Buffer.from([value ? 3 : 2]);
    if (typeof value === 'string') return Buffer.concat([Buffer.from([6]), this.#text(value)]);
    if (typeof value === 'number')
      return Number.isInteger(value) && !Object.is(value, -0) && value >= -(2 ** 28) && value < 2 ** 28
        ? Buffer.concat([Buffer.from([4]), uint29(value & 0x1fffffff)])
        : Buffer.concat([Buffer.from([5]), double(value)]);
    if (value instanceof Date) return Buffer.concat([Buffer.from([8, 1]), double(value.getTime())]);
    if (Array.isArray(value))
      return Buffer.concat([
        Buffer.from([9]),
        uint29(value.length * 2 + 1),
        Buffer.from([1]),
        ...value.map((item) => this.value(item)),
      ]);
    // A dynamic object of no class: the traits are written once.
    const head = this.#hasTraits ? [0x0a, 0x01] : [0x0a, 0x0b, 0x01];
    this.#hasTraits = true;
    const properties = Object.entries(value).flatMap(([key, item]) => [this.#text(key), this.value(item)]);
    return Buffer.concat([Buffer.from(head), ...properties, Buffer.from([1])]);
  }

  #text(text: string): Buffer {
    const known = this.#strings.get(text);
    if (known !== undefined) return uint29(known * 2);
    if (text !== '') this.#strings.set(text, this.#strings.size);
    const bytes = Buffer.from(text);
    return Buffer.concat([uint29(bytes.length * 2 + 1), bytes]);
  }
}

/** As values of AMF0: each with the marker that switches to AMF3. */
export function encodeAmf3(...values: readonly Amf0Value[]): Buffer {
  const writer = new Amf3Writer();
  return Buffer.concat(values.flatMap((value) => [Buffer.from([0x11]), writer.value(value)]));
}
