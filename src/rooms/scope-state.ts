import { ERROR_KINDS, GatewayError, type ErrorCode } from '../errors.ts';
import { checkLogin } from './login.ts';
import { MeasuredValues } from './measured-values.ts';
import type { MemberView, ObjectChange, Participant, RoomEvent, ScopeView } from './room-client.ts';
import { RoomLimitError } from './room-limit-error.ts';
import type { MemberRecord, ScopeEntry, ScopeLimits, ScopeSnapshot } from './scope-entry.ts';
import { ScopeObject } from './scope-object.ts';
import { ScopeObjects } from './scope-objects.ts';

/** What members are to be told because of an entry, in this order. */
export type Notice =
  | EventNotice
  /** To all that are connected to the object. Changes that follow each other can be told together. */
  | { readonly object: ScopeObject; readonly change: ObjectChange };

export interface EventNotice {
  /** Ids. */
  readonly to: 'all' | readonly string[];
  readonly event: RoomEvent;
}

export interface Outcome {
  readonly notices: readonly Notice[];
  readonly joined?: MemberView | undefined;
  readonly left?: readonly Departure[];
}

export interface Departure {
  readonly member: MemberView;
  readonly instance: string;
  /** Undefined: it has left by itself. */
  readonly reason?: GatewayError | undefined;
}

interface Member extends MemberRecord {
  readonly streams: Set<string>;
}

const NOTHING: Outcome = { notices: [] };

/**
 * Members and shared objects of a scope. Entries are applied one after the other; the same entries in the same order give
 * the same state everywhere, because time and chance are in the entries. Pure.
 */
export class ScopeState {
  readonly limits: ScopeLimits;
  readonly #members = new Map<string, Member>();
  /** Ids by login. */
  readonly #logins = new Map<string, string>();
  readonly #objects: ScopeObjects;
  #attributes: MeasuredValues;
  #maxMembers: number;

  constructor({ limits, maxMembers, attributes, members, objects }: ScopeSnapshot) {
    this.limits = limits;
    this.#objects = new ScopeObjects(limits);
    this.#attributes = new MeasuredValues(Object.entries(attributes));
    this.#maxMembers = maxMembers;
    for (const member of members) this.#add({ ...member, streams: new Set(member.streams) });
    for (const object of objects) this.#objects.add(new ScopeObject(object));
  }

  static create(limits: ScopeLimits): ScopeState {
    return new ScopeState({ limits, maxMembers: limits.members, attributes: {}, members: [], objects: [] });
  }

  get size(): number {
    return this.#members.size;
  }

  get objects(): ReadonlyMap<string, ScopeObject> {
    return this.#objects.byName;
  }

  get members(): ReadonlyMap<string, MemberRecord & { readonly streams: ReadonlySet<string> }> {
    return this.#members;
  }

  /** Whether there is something to keep without members. */
  get isKept(): boolean {
    return [...this.objects.values()].some(({ isKept }) => isKept);
  }

  /** Bytes of all attributes and objects as JSON. */
  get bytes(): number {
    return this.#attributes.objectBytes + this.#objects.bytes;
  }

  has(memberId: string): boolean {
    return this.#members.has(memberId);
  }

  /** @throws {GatewayError} if the entry is refused: nothing has changed */
  apply(entry: ScopeEntry): Outcome {
    switch (entry.type) {
      case 'join':
        return this.#join(entry);
      case 'leave':
        return this.#remove([entry.id]);
      case 'remove': {
        if (!this.#members.has(entry.id)) throw memberNotFound();
        const code = Object.hasOwn(ERROR_KINDS, entry.code) ? (entry.code as ErrorCode) : 'FORBIDDEN';
        return this.#remove([entry.id], new GatewayError(code, entry.message));
      }
      case 'gone': {
        const ids = [...this.#members.values()].filter(({ host }) => host.instance === entry.instance);
        const { notices, left } = this.#remove(
          ids.map(({ id }) => id),
          new GatewayError('NODE_LOST', 'The node of the member is gone.'),
        );
        // If the process runs after all, its members come back.
        return { notices: notices.filter(({ event }) => event.type !== 'closed'), left };
      }
      case 'publish':
        return this.#publish(entry.id, entry.stream);
      case 'unpublish':
        return this.#unpublish(entry.id, entry.stream, entry.failed);
      case 'text': {
        const from = entry.id === undefined ? entry.from : this.#member(entry.id).login;
        return { notices: [{ to: 'all', event: { type: 'text', text: entry.text, from } }] };
      }
      case 'message':
        return this.#message(entry.id, entry.to, entry.text);
      case 'connect':
        return this.#connect(entry.id, entry.object, entry.persistent);
      case 'disconnect':
        this.#objects.disconnect(entry.object, entry.id);
        return NOTHING;
      case 'change': {
        const object = this.objects.get(entry.object);
        if (!object?.members.has(entry.id))
          throw new GatewayError('INVALID_REQUEST', 'The object is not connected: connect to it first.');
        this.#objects.change(object, entry.operation, this.limits.scopeBytes - this.bytes);
        return { notices: [{ object, change: { ...entry.operation, by: entry.id } }] };
      }
      case 'acquire':
        this.#objects.getOrCreate(entry.object).acquired++;
        return NOTHING;
      case 'release':
        return this.#release(entry.object);
      case 'deleteObject':
        return this.#deleteObject(entry.object);
      case 'configure':
        return this.#configure(entry);
    }
  }

  snapshot(): ScopeSnapshot {
    return {
      limits: this.limits,
      maxMembers: this.#maxMembers,
      attributes: Object.fromEntries(this.#attributes.values),
      members: [...this.#members.values()].map((member) => ({ ...member, streams: [...member.streams] })),
      objects: [...this.objects.values()].map((object) => object.record()),
    };
  }

  view(scope: string): ScopeView {
    return {
      scope,
      attributes: Object.fromEntries(this.#attributes.values),
      maxMembers: this.#maxMembers,
      members: [...this.#members.values()].map((member) => this.#view(member)),
      objects: [...this.objects.values()].map((object) => object.view()),
    };
  }

  /** Members with a login, without the one with this id. */
  participants(exceptId?: string): Participant[] {
    return [...this.#logins]
      .filter(([, id]) => id !== exceptId)
      .map(([login, id]) => ({ login, streams: [...this.#members.get(id)!.streams] }));
  }

  #join({ type: _, resumed, ...record }: Extract<ScopeEntry, { type: 'join' }>): Outcome {
    const { id, login } = record;
    if (this.#members.has(id)) return NOTHING;
    if (this.#members.size >= this.#maxMembers)
      throw new RoomLimitError('rooms_max_members', `The scope already has ${this.#maxMembers} members.`);
    if (login !== undefined) {
      checkLogin(login);
      if (this.#logins.has(login))
        throw new GatewayError('LOGIN_IN_USE', `The login ${JSON.stringify(login)} is already in this room.`);
    }
    const member: Member = { ...record, streams: new Set(resumed?.streams) };
    this.#add(member);
    for (const name of resumed?.objects ?? []) this.#objects.getOrCreate(name).members.add(id);
    const joined = this.#view(member);
    if (login === undefined) return { notices: [], joined };
    const others = this.#othersOf(id);
    const notices: Notice[] = [{ to: others, event: { type: 'joined', login } }];
    for (const stream of member.streams) notices.push({ to: others, event: { type: 'published', login, stream } });
    if (!resumed) notices.unshift({ to: [id], event: { type: 'members', members: this.participants(id) } });
    return { notices, joined };
  }

  /** Those that are not there any more are left out. */
  #remove(ids: readonly string[], reason?: GatewayError): { notices: EventNotice[]; left: Departure[] } {
    const notices: EventNotice[] = [];
    const left: Departure[] = [];
    for (const id of ids) {
      const member = this.#members.get(id);
      if (!member) continue;
      left.push({ member: this.#view(member), instance: member.host.instance, reason });
      for (const name of this.#objects.of(id)) this.#objects.disconnect(name, id);
      this.#members.delete(id);
      if (reason) notices.push({ to: [id], event: { type: 'closed', reason } });
      const { login } = member;
      if (login === undefined) continue;
      this.#logins.delete(login);
      notices.push({ to: this.#othersOf(id), event: { type: 'left', login } });
    }
    return { notices, left };
  }

  #publish(id: string, stream: string): Outcome {
    const { login, streams } = this.#member(id);
    if (streams.has(stream)) return NOTHING;
    streams.add(stream);
    return this.#tellOthers(id, login && { type: 'published', login, stream });
  }

  #unpublish(id: string, stream: string, failed: boolean): Outcome {
    const member = this.#members.get(id);
    if (!member?.streams.delete(stream)) return NOTHING;
    const { login } = member;
    return this.#tellOthers(id, login && { type: failed ? 'failed' : 'unpublished', login, stream });
  }

  #message(from: string, login: string, text: string): Outcome {
    const sender = this.#member(from).login;
    if (sender === undefined) throw new GatewayError('FORBIDDEN', 'Messages to one member need a login of the sender.');
    const to = this.#logins.get(login);
    if (to === undefined) throw new GatewayError('MEMBER_NOT_FOUND', 'Nobody with this login is in the room.');
    return { notices: [{ to: [to], event: { type: 'message', from: sender, text } }] };
  }

  #connect(id: string, name: string, persistent: boolean): Outcome {
    this.#member(id);
    const object = this.#objects.getOrCreate(name);
    object.members.add(id);
    object.persistent ||= persistent;
    const { version, properties } = object;
    const event = { type: 'state', object: name, version, persistent: object.persistent, properties } as const;
    return { notices: [{ to: [id], event }] };
  }

  #release(name: string): Outcome {
    const object = this.#objects.get(name);
    if (object.acquired === 0) throw new GatewayError('INVALID_REQUEST', 'The object is not acquired.');
    object.acquired--;
    this.#objects.removeUnused(object);
    return NOTHING;
  }

  #deleteObject(name: string): Outcome {
    const object = this.#objects.get(name);
    this.#objects.remove(object);
    object.change({ type: 'clear' }, this.limits, 0);
    return { notices: [{ object, change: { type: 'clear', by: '' } }] };
  }

  #configure({ attributes = {}, maxMembers }: Extract<ScopeEntry, { type: 'configure' }>): Outcome {
    const changed = this.#attributes.copy();
    for (const [key, value] of Object.entries(attributes)) {
      if (value === null) changed.delete(key);
      else changed.set(key, value);
    }
    if (changed.objectBytes + this.#objects.bytes > this.limits.scopeBytes)
      throw new RoomLimitError('rooms_max_scope_kb', 'The attributes of the scope are too large.');
    this.#attributes = changed;
    if (maxMembers !== undefined) this.#maxMembers = Math.min(maxMembers, this.limits.members);
    return NOTHING;
  }

  #add(member: Member): void {
    this.#members.set(member.id, member);
    if (member.login !== undefined) this.#logins.set(member.login, member.id);
  }

  /** @throws {GatewayError} FORBIDDEN */
  #member(id: string): Member {
    const member = this.#members.get(id);
    if (!member) throw new GatewayError('FORBIDDEN', 'The client has left the scope.');
    return member;
  }

  /** Ids of the members with a login, without this one. */
  #othersOf(id: string): readonly string[] {
    return [...this.#logins.values()].filter((other) => other !== id);
  }

  #tellOthers(id: string, event: RoomEvent | '' | undefined): Outcome {
    return event ? { notices: [{ to: this.#othersOf(id), event }] } : NOTHING;
  }

  #view({ id, login, door, host, at, streams }: Member): MemberView {
    return {
      id,
      login,
      door,
      ...(host.node !== '' && { node: host.node }),
      streams: [...streams],
      objects: this.#objects.of(id),
      joinedAt: new Date(at).toISOString(),
    };
  }
}

const memberNotFound = (): GatewayError => new GatewayError('MEMBER_NOT_FOUND', 'The room has no member with this id.');
