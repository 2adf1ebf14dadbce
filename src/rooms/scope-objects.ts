import { GatewayError } from '../errors.ts';
import type { ObjectOperation } from './room-client.ts';
import { RoomLimitError } from './room-limit-error.ts';
import type { ScopeLimits } from './scope-entry.ts';
import { ScopeObject } from './scope-object.ts';

/** The shared objects of a scope, and how many bytes they have together. */
export class ScopeObjects {
  readonly #limits: ScopeLimits;
  readonly #byName = new Map<string, ScopeObject>();
  #bytes = 0;

  constructor(limits: ScopeLimits) {
    this.#limits = limits;
  }

  get byName(): ReadonlyMap<string, ScopeObject> {
    return this.#byName;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws {GatewayError} OBJECT_NOT_FOUND */
  get(name: string): ScopeObject {
    const object = this.#byName.get(name);
    if (!object) throw new GatewayError('OBJECT_NOT_FOUND', 'The room has no object of this name.');
    return object;
  }

  /** @throws {GatewayError} LIMIT_REACHED */
  getOrCreate(name: string): ScopeObject {
    const known = this.#byName.get(name);
    if (known) return known;
    if (this.#byName.size >= this.#limits.objects)
      throw new RoomLimitError('rooms_max_objects', `The scope already has ${this.#limits.objects} objects.`);
    const object = ScopeObject.create(name);
    this.add(object);
    return object;
  }

  add(object: ScopeObject): void {
    this.#byName.set(object.name, object);
    this.#bytes += object.bytes;
  }

  remove(object: ScopeObject): void {
    this.#byName.delete(object.name);
    this.#bytes -= object.bytes;
  }

  disconnect(name: string, memberId: string): void {
    const object = this.#byName.get(name);
    if (object?.members.delete(memberId)) this.removeUnused(object);
  }

  removeUnused(object: ScopeObject): void {
    if (object.members.size === 0 && !object.isKept) this.remove(object);
  }

  /**
   * @param freeBytes of the scope
   * @throws {GatewayError} LIMIT_REACHED
   */
  change(object: ScopeObject, operation: ObjectOperation, freeBytes: number): void {
    const before = object.bytes;
    object.change(operation, this.#limits, freeBytes);
    this.#bytes += object.bytes - before;
  }

  /** Names of the objects that a member is connected to. */
  of(memberId: string): string[] {
    return [...this.#byName.values()].filter(({ members }) => members.has(memberId)).map(({ name }) => name);
  }
}
