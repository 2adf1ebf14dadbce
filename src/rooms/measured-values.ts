import type { JsonValue } from './room-client.ts';

export const sizeOf = (value: JsonValue): number => Buffer.byteLength(JSON.stringify(value));

/** JSON values by key, with their size: each value is serialised once, when it is set. */
export class MeasuredValues {
  readonly #values = new Map<string, JsonValue>();
  readonly #sizes = new Map<string, number>();
  #bytes = 0;

  constructor(entries: Iterable<readonly [key: string, value: JsonValue]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  get values(): ReadonlyMap<string, JsonValue> {
    return this.#values;
  }

  /** Bytes of all keys and values as JSON. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of the JSON object with these values. */
  get objectBytes(): number {
    const { size } = this.#values;
    // Braces, a colon for each value, commas between them.
    return 2 + this.#bytes + size + Math.max(0, size - 1);
  }

  /** Bytes of a key and its value; 0 if there is none. */
  bytesOf(key: string): number {
    return this.#sizes.get(key) ?? 0;
  }

  copy(): MeasuredValues {
    const copy = new MeasuredValues();
    for (const [key, value] of this.#values) copy.set(key, value, this.bytesOf(key));
    return copy;
  }

  /** @param bytes of key and value, where they are known */
  set(key: string, value: JsonValue, bytes = sizeOf(key) + sizeOf(value)): void {
    this.#bytes += bytes - this.bytesOf(key);
    this.#values.set(key, value);
    this.#sizes.set(key, bytes);
  }

  delete(key: string): void {
    this.#bytes -= this.bytesOf(key);
    this.#values.delete(key);
    this.#sizes.delete(key);
  }

  clear(): void {
    this.#bytes = 0;
    this.#values.clear();
    this.#sizes.clear();
  }
}
