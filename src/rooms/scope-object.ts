import { GatewayError } from '../errors.ts';
import type { JsonValue, ObjectOperation, ObjectView } from './room-client.ts';
import type { ObjectRecord, ScopeLimits } from './scope-entry.ts';

export const sizeOf = (value: JsonValue): number => Buffer.byteLength(JSON.stringify(value));

/** The properties of a shared object, and who is connected to it. Pure. */
export class ScopeObject {
  readonly name: string;
  readonly properties: Map<string, JsonValue>;
  /** Ids. */
  readonly members: Set<string>;
  persistent: boolean;
  acquired: number;
  version: number;
  #bytes: number;

  constructor({ name, persistent, acquired, version, properties, members }: ObjectRecord) {
    this.name = name;
    this.persistent = persistent;
    this.acquired = acquired;
    this.version = version;
    this.properties = new Map(properties);
    this.members = new Set(members);
    this.#bytes = properties.reduce((sum, [key, value]) => sum + sizeOf(key) + sizeOf(value), 0);
  }

  static create(name: string): ScopeObject {
    return new ScopeObject({ name, persistent: false, acquired: 0, version: 0, properties: [], members: [] });
  }

  /** Bytes of all keys and values as JSON. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether it is kept without members. */
  get isKept(): boolean {
    return this.persistent || this.acquired > 0;
  }

  /**
   * @param freeBytes what the scope has left
   * @throws {GatewayError} LIMIT_REACHED
   */
  change(operation: ObjectOperation, { properties, objectBytes }: ScopeLimits, freeBytes: number): void {
    if (operation.type === 'set') {
      const { key, value } = operation;
      if (!this.properties.has(key) && this.properties.size >= properties)
        throw new GatewayError('LIMIT_REACHED', `The object already has ${properties} properties.`);
      const added = sizeOf(key) + sizeOf(value) - this.#bytesOf(key);
      if (this.#bytes + added > objectBytes)
        throw new GatewayError('LIMIT_REACHED', `An object has at most ${objectBytes} bytes as JSON.`);
      if (added > freeBytes)
        throw new GatewayError('LIMIT_REACHED', 'The objects of the scope are too large together.');
      this.#bytes += added;
      this.properties.set(key, value);
    } else if (operation.type === 'delete') {
      this.#bytes -= this.#bytesOf(operation.key);
      this.properties.delete(operation.key);
    } else if (operation.type === 'clear') {
      this.#bytes = 0;
      this.properties.clear();
    }
    this.version++;
  }

  record(): ObjectRecord {
    const { name, persistent, acquired, version } = this;
    return { name, persistent, acquired, version, properties: [...this.properties], members: [...this.members] };
  }

  view(): ObjectView {
    const { name, persistent, acquired, version } = this;
    const properties = Object.fromEntries(this.properties);
    return { name, persistent, acquired, version, members: this.members.size, properties };
  }

  /** What a property takes up; 0 if there is none. */
  #bytesOf(key: string): number {
    const value = this.properties.get(key);
    return value === undefined ? 0 : sizeOf(key) + sizeOf(value);
  }
}
