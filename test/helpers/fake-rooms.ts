import { GatewayError } from '../../src/errors.ts';
import type { JoinRequest, JsonValue, ObjectChange, RoomMember, Rooms } from '../../src/rooms/room-client.ts';

interface FakeObject {
  version: number;
  readonly persistent: boolean;
  readonly properties: Map<string, JsonValue>;
  readonly members: Map<string, JoinRequest>;
}

/** Rooms without limits and rights. Scopes and objects whose name begins with `no-` are refused. */
export class FakeRooms implements Rooms {
  readonly joined: JoinRequest[] = [];
  readonly members = new Map<string, JoinRequest>();
  readonly objects = new Map<string, FakeObject>();
  #ids = 0;

  async join(request: JoinRequest): Promise<RoomMember> {
    if (request.scope.includes('no-')) throw new GatewayError('FORBIDDEN', 'Not in this scope.');
    const id = String(++this.#ids);
    this.joined.push(request);
    this.members.set(id, request);
    const { scope } = request;
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
      sendText: async (text) => {
        for (const member of this.members.values()) if (member.scope === scope) member.receive({ type: 'text', text });
      },
      connectObject: async (name, persistent) => {
        if (name.startsWith('no-')) throw new GatewayError('FORBIDDEN', 'Not this object.');
        const key = `${scope} ${name}`;
        const object = this.objects.get(key) ?? { version: 0, persistent, properties: new Map(), members: new Map() };
        this.objects.set(key, object);
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
      leave: () => {
        this.members.delete(id);
        for (const object of this.objects.values()) object.members.delete(id);
      },
    };
  }
}
