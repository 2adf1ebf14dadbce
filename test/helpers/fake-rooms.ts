import { GatewayError } from '../../src/errors.ts';
import type {
  JoinRequest,
  JsonValue,
  MemberView,
  ObjectChange,
  RoomActivity,
  RoomMember,
  RoomsControl,
  ScopeSummary,
  ScopeView,
} from '../../src/rooms/room-client.ts';

interface FakeObject {
  version: number;
  acquired: number;
  readonly persistent: boolean;
  readonly properties: Map<string, JsonValue>;
  readonly members: Map<string, JoinRequest>;
}

/** Rooms without limits and rights. Scopes and objects whose name begins with `no-` are refused. */
export class FakeRooms implements RoomsControl {
  readonly joined: JoinRequest[] = [];
  readonly members = new Map<string, JoinRequest>();
  /** By scope and name, with a space between them. */
  readonly objects = new Map<string, FakeObject>();
  /** By scope: what {@link configure} has set. */
  readonly configured = new Map<string, { attributes: Record<string, JsonValue>; maxMembers: number }>();
  readonly #listeners = new Set<(activity: RoomActivity) => void>();
  #ids = 0;

  async join(request: JoinRequest): Promise<RoomMember> {
    if (request.scope.includes('no-')) throw new GatewayError('FORBIDDEN', 'Not in this scope.');
    const id = String(++this.#ids);
    const { scope } = request;
    const isNew = !this.#exists(scope);
    this.joined.push(request);
    this.members.set(id, request);
    if (isNew) this.#tell({ type: 'created', scope });
    this.#tell({ type: 'joined', scope, member: this.#view(id, request) });
    const find = (name: string): FakeObject => {
      const object = this.objects.get(`${scope} ${name}`);
      if (!object?.members.has(id)) throw new GatewayError('INVALID_REQUEST', `Not connected to ${name}.`);
      return object;
    };
    return {
      id,
      scope,
      publish: async () => undefined,
      unpublish: async () => undefined,
      sendTo: async () => undefined,
      sendText: (text) => this.sendText(scope, text),
      connectObject: async (name, persistent) => {
        if (name.startsWith('no-')) throw new GatewayError('FORBIDDEN', 'Not this object.');
        const object = this.#object(scope, name, persistent);
        object.members.set(id, request);
        const { version, properties } = object;
        request.receive({ type: 'state', object: name, version, persistent: object.persistent, properties });
      },
      disconnectObject: (name) => void this.objects.get(`${scope} ${name}`)?.members.delete(id),
      change: async (name, operation) => {
        const object = find(name);
        object.version++;
        if (operation.type === 'set') object.properties.set(operation.key, operation.value);
        else if (operation.type === 'delete') object.properties.delete(operation.key);
        else if (operation.type === 'clear') object.properties.clear();
        const { version, persistent } = object;
        const changes: ObjectChange[] = [{ ...operation, by: id }];
        for (const { receive } of object.members.values())
          receive({ type: 'changes', object: name, version, persistent, changes });
      },
      leave: () => this.#remove(id),
    };
  }

  async list({ prefix = '', after = '', limit }: Parameters<RoomsControl['list']>[0]): Promise<ScopeSummary[]> {
    return this.#scopes
      .filter((scope) => scope.startsWith(prefix) && scope > after)
      .slice(0, limit)
      .map((scope) => ({
        scope,
        members: this.#membersOf(scope).length,
        objects: this.#objectsOf(scope).length,
      }));
  }

  async find(scope: string): Promise<ScopeView | undefined> {
    if (!this.#exists(scope)) return undefined;
    const { attributes = {}, maxMembers = 1000 } = this.configured.get(scope) ?? {};
    return {
      scope,
      attributes,
      maxMembers,
      members: this.#membersOf(scope).map(([id, request]) => this.#view(id, request)),
      objects: this.#objectsOf(scope).map(([name, { persistent, acquired, version, members, properties }]) => ({
        ...{ name, persistent, acquired, version },
        members: members.size,
        properties: Object.fromEntries(properties),
      })),
    };
  }

  async configure(scope: string, change: Parameters<RoomsControl['configure']>[1]): Promise<void> {
    this.#check(scope);
    const { attributes, maxMembers } = (await this.find(scope))!;
    const merged = { ...attributes, ...change.attributes };
    this.configured.set(scope, {
      attributes: Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null)),
      maxMembers: change.maxMembers ?? maxMembers,
    });
  }

  async removeMember(scope: string, memberId: string, reason: GatewayError): Promise<void> {
    this.#check(scope);
    const member = this.members.get(memberId);
    if (member?.scope !== scope) throw new GatewayError('MEMBER_NOT_FOUND', 'The room has no member of this id.');
    this.#remove(memberId, reason);
    member.receive({ type: 'closed', reason });
  }

  async sendText(scope: string, text: string, from?: string): Promise<void> {
    this.#check(scope);
    for (const [, { receive }] of this.#membersOf(scope)) receive({ type: 'text', text, ...(from && { from }) });
  }

  async acquireObject(scope: string, name: string): Promise<void> {
    this.#object(scope, name, false).acquired++;
  }

  async releaseObject(scope: string, name: string): Promise<void> {
    const object = this.#find(scope, name);
    if (object.acquired === 0) throw new GatewayError('INVALID_REQUEST', 'The object is not acquired.');
    object.acquired--;
    if (object.acquired === 0 && object.members.size === 0) this.objects.delete(`${scope} ${name}`);
  }

  async deleteObject(scope: string, name: string): Promise<void> {
    this.#find(scope, name);
    this.objects.delete(`${scope} ${name}`);
  }

  get counts(): RoomsControl['counts'] {
    return { scopes: this.#scopes.length, members: this.members.size, objects: this.objects.size };
  }

  onActivity(listener: (activity: RoomActivity) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get #scopes(): string[] {
    const ofObjects = [...this.objects.keys()].map((key) => key.slice(0, key.indexOf(' ')));
    return [...new Set([...[...this.members.values()].map(({ scope }) => scope), ...ofObjects])].sort();
  }

  #exists(scope: string): boolean {
    return this.#scopes.includes(scope);
  }

  #check(scope: string): void {
    if (!this.#exists(scope)) throw new GatewayError('ROOM_NOT_FOUND', 'There is no such room.');
  }

  #find(scope: string, name: string): FakeObject {
    this.#check(scope);
    const object = this.objects.get(`${scope} ${name}`);
    if (!object) throw new GatewayError('OBJECT_NOT_FOUND', 'The room has no object of this name.');
    return object;
  }

  #object(scope: string, name: string, persistent: boolean): FakeObject {
    const key = `${scope} ${name}`;
    const object = this.objects.get(key) ?? {
      ...{ version: 0, acquired: 0, persistent },
      ...{ properties: new Map<string, JsonValue>(), members: new Map<string, JoinRequest>() },
    };
    this.objects.set(key, object);
    return object;
  }

  #membersOf(scope: string): [id: string, request: JoinRequest][] {
    return [...this.members].filter(([, member]) => member.scope === scope);
  }

  #objectsOf(scope: string): [name: string, object: FakeObject][] {
    return [...this.objects]
      .filter(([key]) => key.startsWith(`${scope} `))
      .map(([key, object]) => [key.slice(scope.length + 1), object]);
  }

  #view(id: string, { login, door, scope }: JoinRequest): MemberView {
    const objects = this.#objectsOf(scope).filter(([, { members }]) => members.has(id));
    return {
      ...{ id, login, door, streams: [], objects: objects.map(([name]) => name) },
      joinedAt: '2026-11-23T20:00:00.000Z',
    };
  }

  #remove(id: string, reason?: GatewayError): void {
    const request = this.members.get(id);
    if (!request) return;
    const { scope } = request;
    const member = this.#view(id, request);
    this.members.delete(id);
    for (const [key, { members, acquired, persistent }] of this.objects)
      if (members.delete(id) && members.size === 0 && acquired === 0 && !persistent) this.objects.delete(key);
    this.#tell({ type: 'left', scope, member, ...(reason && { reason }) });
    if (!this.#exists(scope)) this.#tell({ type: 'removed', scope });
  }

  #tell(activity: RoomActivity): void {
    for (const listener of this.#listeners) listener(activity);
  }
}
