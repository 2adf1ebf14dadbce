import { MeasuredValues, sizeOf } from './measured-values.ts';
import type { JsonValue, ObjectOperation, ObjectView } from './room-client.ts';
import { RoomLimitError } from './room-limit-error.ts';
import type { ObjectRecord, ScopeLimits } from './scope-entry.ts';

/** The properties of a shared object, and who is connected to it. Pure. */
export class ScopeObject {
  readonly name: string;
  /** Ids. */
  readonly members: Set<string>;
  persistent: boolean;
  acquired: number;
  version: number;
  readonly #properties: MeasuredValues;

  constructor({ name, persistent, acquired, version, properties, members }: ObjectRecord) {
    this.name = name;
    this.persistent = persistent;
    this.acquired = acquired;
    this.version = version;
    this.#properties = new MeasuredValues(properties);
    this.members = new Set(members);
  }

  static create(name: string): ScopeObject {
    return new ScopeObject({ name, persistent: false, acquired: 0, version: 0, properties: [], members: [] });
  }

  /** Bytes of all keys and values as JSON. */
  get bytes(): number {
    return this.#properties.bytes;
  }

  get properties(): ReadonlyMap<string, JsonValue> {
    return this.#properties.values;
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
        throw new RoomLimitError('rooms_max_properties', `The object already has ${properties} properties.`);
      const bytes = sizeOf(key) + sizeOf(value);
      const added = bytes - this.#properties.bytesOf(key);
      if (this.bytes + added > objectBytes)
        throw new RoomLimitError('rooms_max_object_kb', `An object has at most ${objectBytes} bytes as JSON.`);
      if (added > freeBytes)
        throw new RoomLimitError('rooms_max_scope_kb', 'The objects of the scope are too large together.');
      this.#properties.set(key, value, bytes);
    } else if (operation.type === 'delete') this.#properties.delete(operation.key);
    else if (operation.type === 'clear') this.#properties.clear();
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
}
