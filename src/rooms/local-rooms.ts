import { randomUUID } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import { atEndOfTick } from '../runtime/tick.ts';
import { Participants } from './participants.ts';
import { ROOM_LIMITS, type RoomLimits } from './room-limits.ts';
import type {
  JoinRequest,
  JsonValue,
  ObjectChange,
  ObjectOperation,
  RoomEvent,
  RoomMember,
  Rooms,
} from './room-client.ts';

/** Rooms of one process, in memory. They exist while they have members. */
export class LocalRooms implements Rooms {
  readonly #limits: RoomLimits;
  readonly #scopes = new Map<string, Scope>();
  #closed: GatewayError | undefined;

  constructor(limits: Partial<RoomLimits> = {}) {
    this.#limits = { ...ROOM_LIMITS, ...limits };
  }

  async join(request: JoinRequest): Promise<RoomMember> {
    if (this.#closed) throw this.#closed;
    const scope = this.#scopes.get(request.scope) ?? new Scope(this.#limits, () => this.#scopes.delete(request.scope));
    const member = scope.join(request);
    this.#scopes.set(request.scope, scope);
    return member;
  }

  /** Removes all members. Idempotent. */
  close(reason: GatewayError): void {
    this.#closed ??= reason;
    for (const scope of this.#scopes.values()) scope.close(reason);
  }
}

interface Member {
  readonly id: string;
  readonly login: string | undefined;
  readonly receive: (event: RoomEvent) => void;
  readonly objects: Set<string>;
  readonly bucket: Bucket;
  gone: boolean;
}

/** Members and the objects that they share. */
class Scope {
  readonly #limits: RoomLimits;
  readonly #onEmpty: () => void;
  readonly #members = new Map<string, Member>();
  readonly #participants = new Participants();
  readonly #objects = new Map<string, SharedObject>();

  constructor(limits: RoomLimits, onEmpty: () => void) {
    this.#limits = limits;
    this.#onEmpty = onEmpty;
  }

  /** @throws {GatewayError} LIMIT_REACHED, INVALID_REQUEST or LOGIN_IN_USE */
  join({ scope, receive, login }: JoinRequest): RoomMember {
    if (this.#members.size >= this.#limits.membersPerScope)
      throw new GatewayError('LIMIT_REACHED', `The scope already has ${this.#limits.membersPerScope} members.`);
    if (login !== undefined) this.#participants.check(login);
    const id = randomUUID();
    const member: Member = { id, login, receive, objects: new Set(), bucket: new Bucket(this.#limits), gone: false };
    this.#members.set(id, member);
    if (login !== undefined) this.#participants.add(login, receive);
    return {
      id,
      scope,
      publish: async (stream) => this.#publish(member, stream),
      unpublish: async (stream, failed) => this.#unpublish(member, stream, failed),
      sendTo: async (to, text) => this.#sendTo(member, to, text),
      sendText: async (text) => this.#sendText(member, text),
      connectObject: async (name, persistent) => this.#connect(member, name, persistent),
      disconnectObject: (name) => this.#disconnect(member, name),
      change: async (name, operation) => this.#change(member, name, operation),
      leave: () => this.#leave(member),
    };
  }

  close(reason: GatewayError): void {
    for (const member of [...this.#members.values()]) this.#remove(member, reason);
  }

  #sendText(member: Member, text: string): void {
    this.#count(member, this.#sizeOf(text));
    const event: RoomEvent = { type: 'text', text, from: member.login };
    for (const { receive } of [...this.#members.values()]) receive(event);
  }

  #sendTo(member: Member, to: string, text: string): void {
    this.#count(member, this.#sizeOf(text));
    if (member.login === undefined)
      throw new GatewayError('FORBIDDEN', 'Messages to one member need a login of the sender.');
    this.#participants.sendTo(member.login, to, text);
  }

  #publish(member: Member, stream: string): void {
    this.#count(member);
    if (member.login !== undefined) this.#participants.publish(member.login, stream);
  }

  #unpublish({ login, gone }: Member, stream: string, failed: boolean): void {
    if (!gone && login !== undefined) this.#participants.unpublish(login, stream, failed);
  }

  #connect(member: Member, name: string, persistent: boolean): void {
    this.#count(member);
    this.#checkName(name);
    let object = this.#objects.get(name);
    if (!object) {
      if (this.#objects.size >= this.#limits.objectsPerScope)
        throw new GatewayError('LIMIT_REACHED', `The scope already has ${this.#limits.objectsPerScope} objects.`);
      object = new SharedObject(name, persistent, this.#limits);
      this.#objects.set(name, object);
    }
    object.connect(member);
    member.objects.add(name);
  }

  #disconnect(member: Member, name: string): void {
    member.objects.delete(name);
    if (this.#objects.get(name)?.disconnect(member)) this.#objects.delete(name);
  }

  #change(member: Member, name: string, operation: ObjectOperation): void {
    const { type } = operation;
    this.#count(
      member,
      type === 'set' ? this.#sizeOf(operation.value) : type === 'send' ? this.#sizeOf([...operation.args]) : 0,
    );
    const object = this.#objects.get(name);
    if (!object || !member.objects.has(name))
      throw new GatewayError('INVALID_REQUEST', 'The object is not connected: connect to it first.');
    if ('key' in operation) this.#checkName(operation.key);
    if (operation.type === 'send') this.#checkName(operation.method);
    object.change(member.id, operation);
  }

  #leave(member: Member): void {
    if (member.gone) return;
    member.gone = true;
    for (const name of [...member.objects]) this.#disconnect(member, name);
    this.#members.delete(member.id);
    if (member.login !== undefined) this.#participants.remove(member.login);
    if (this.#members.size === 0) this.#onEmpty();
  }

  #remove(member: Member, reason: GatewayError): void {
    this.#leave(member);
    member.receive({ type: 'closed', reason });
  }

  /** A member that is too fast is removed. */
  #count(member: Member, bytes = 0): void {
    if (member.gone) throw new GatewayError('FORBIDDEN', 'The client has left the scope.');
    if (member.bucket.take(1 + Math.floor(bytes / 1024))) return;
    const { perSecond } = this.#limits;
    const reason = new GatewayError('RATE_LIMITED', `More than ${perSecond} messages per second.`);
    this.#remove(member, reason);
    throw reason;
  }

  #checkName(name: string): void {
    if (name.length < 1 || name.length > this.#limits.nameLength)
      throw new GatewayError('INVALID_REQUEST', `Names have 1 to ${this.#limits.nameLength} characters.`);
  }

  /** @throws {GatewayError} INVALID_REQUEST */
  #sizeOf(value: JsonValue): number {
    const bytes = sizeOf(value);
    if (bytes > this.#limits.valueBytes)
      throw new GatewayError('INVALID_REQUEST', `Values have at most ${this.#limits.valueBytes} bytes as JSON.`);
    return bytes;
  }
}

/** Properties, and the members that are connected. All of them are told the changes of one tick together. */
class SharedObject {
  readonly #name: string;
  readonly #persistent: boolean;
  readonly #limits: RoomLimits;
  #bytes = 0;
  readonly #properties = new Map<string, JsonValue>();
  readonly #members = new Set<Member>();
  #changes: ObjectChange[] = [];
  #version = 0;

  constructor(name: string, persistent: boolean, limits: RoomLimits) {
    this.#name = name;
    this.#persistent = persistent;
    this.#limits = limits;
  }

  connect(member: Member): void {
    // What the others have not been told yet is part of the state.
    this.#tell();
    this.#members.add(member);
    const { receive } = member;
    receive({
      type: 'state',
      object: this.#name,
      version: this.#version,
      persistent: this.#persistent,
      properties: this.#properties,
    });
  }

  /** @returns whether nobody is connected any more */
  disconnect(member: Member): boolean {
    this.#members.delete(member);
    return this.#members.size === 0;
  }

  /** @throws {GatewayError} LIMIT_REACHED */
  change(by: string, operation: ObjectOperation): void {
    if (operation.type === 'set') this.#set(operation.key, operation.value);
    else if (operation.type === 'delete') {
      this.#bytes -= this.#bytesOf(operation.key);
      this.#properties.delete(operation.key);
    } else if (operation.type === 'clear') {
      this.#bytes = 0;
      this.#properties.clear();
    }
    this.#version++;
    if (this.#changes.length === 0) atEndOfTick(() => this.#tell());
    this.#changes.push({ ...operation, by });
  }

  #set(key: string, value: JsonValue): void {
    const { propertiesPerObject, objectBytes } = this.#limits;
    if (!this.#properties.has(key) && this.#properties.size >= propertiesPerObject)
      throw new GatewayError('LIMIT_REACHED', `The object already has ${propertiesPerObject} properties.`);
    const bytes = this.#bytes - this.#bytesOf(key) + sizeOf(key) + sizeOf(value);
    if (bytes > objectBytes)
      throw new GatewayError('LIMIT_REACHED', `An object has at most ${objectBytes} bytes as JSON.`);
    this.#bytes = bytes;
    this.#properties.set(key, value);
  }

  /** What a property takes up; 0 if there is none. */
  #bytesOf(key: string): number {
    const value = this.#properties.get(key);
    return value === undefined ? 0 : sizeOf(key) + sizeOf(value);
  }

  #tell(): void {
    if (this.#changes.length === 0) return;
    const event: RoomEvent = {
      type: 'changes',
      object: this.#name,
      version: this.#version,
      persistent: this.#persistent,
      changes: this.#changes,
    };
    this.#changes = [];
    for (const { receive } of [...this.#members]) receive(event);
  }
}

const sizeOf = (value: JsonValue): number => Buffer.byteLength(JSON.stringify(value));

/** A rate limit that allows bursts. */
class Bucket {
  readonly #limits: RoomLimits;
  #tokens: number;
  #at = performance.now();

  constructor(limits: RoomLimits) {
    this.#limits = limits;
    this.#tokens = limits.burst;
  }

  take(tokens: number): boolean {
    const now = performance.now();
    const { burst, perSecond } = this.#limits;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) / 1000) * perSecond);
    this.#at = now;
    if (this.#tokens < tokens) return false;
    this.#tokens -= tokens;
    return true;
  }
}
