import { z } from 'zod';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { JsonValue, ObjectChange, Participant, RoomEvent } from '../room-client.ts';
import { JoinedRooms, type JoinedRoomsOptions } from './joined-rooms.ts';
import type { RoomStreams } from './room-streams.ts';
import { scopeOf } from './scope-url.ts';

type RequestId = string | number;

/** Answers one request of a client; with an error it was refused. */
export interface RoomReply {
  readonly id: RequestId;
  readonly error?: { readonly code: string; readonly message: string };
  /** Of `join`: the id of the member, by which it knows its own changes. */
  readonly memberId?: string;
}

/** What a room tells a client of the browser library. `room` is the path that the client has joined. */
export type LibraryEvent = { readonly room: string } & (
  | { readonly type: 'members'; readonly members: readonly Participant[] }
  | { readonly type: 'joined' | 'left'; readonly login: string }
  | { readonly type: 'published' | 'unpublished' | 'failed'; readonly login: string; readonly stream: string }
  | { readonly type: 'text'; readonly text: string; readonly from?: string | undefined }
  | { readonly type: 'message'; readonly text: string; readonly from: string }
  | { readonly type: 'state'; readonly object: string; readonly properties: readonly (readonly [string, JsonValue])[] }
  | { readonly type: 'changes'; readonly object: string; readonly changes: readonly ObjectChange[] }
  | { readonly type: 'closed'; readonly code: string; readonly message: string }
  /** From a manager: the node is lost. The client is to join again. */
  | { readonly type: 'interrupted' }
);

export interface LibraryRoomsOptions extends Pick<JoinedRoomsOptions, 'join' | 'onError'> {
  readonly reply: (reply: RoomReply) => void;
  readonly send: (event: LibraryEvent) => void;
}

/** Levels of arrays and objects in a value. */
const MAX_DEPTH = 32;

const Path = z.string('must be a path').min(1, 'must be a path').max(512, 'is too long');
const Name = z.string('must be a text').min(1, 'must not be empty').max(1024, 'is too long');
/** The request has been parsed from JSON, so every value is JSON. */
const Value = z.custom<JsonValue>(
  (value) => value !== undefined && isWithin(value, MAX_DEPTH),
  `must be a value with at most ${MAX_DEPTH} levels`,
);
const common = { id: z.union([z.string().max(128), z.number()]), room: Path };

const Request = z.discriminatedUnion('action', [
  z.object({ action: z.literal('join'), ...common, login: Name }),
  z.object({ action: z.literal('leave'), ...common }),
  z.object({ action: z.literal('text'), ...common, text: z.string('must be a text') }),
  z.object({ action: z.literal('message'), ...common, to: Name, text: z.string('must be a text') }),
  z.object({ action: z.literal('connect'), ...common, object: Name, persistent: z.boolean().default(false) }),
  z.object({ action: z.literal('disconnect'), ...common, object: Name }),
  z.object({ action: z.literal('set'), ...common, object: Name, key: Name, value: Value }),
  z.object({ action: z.literal('delete'), ...common, object: Name, key: Name }),
  z.object({ action: z.literal('clear'), ...common, object: Name }),
  z.object({
    action: z.literal('call'),
    ...common,
    object: Name,
    method: Name,
    args: z.array(Value, 'must be an array').max(32, 'has more than 32 elements'),
  }),
]);
type Request = z.output<typeof Request>;

/** Rooms of one session of the gateway's browser library. */
export class LibraryRooms {
  readonly #options: LibraryRoomsOptions;
  readonly #rooms: JoinedRooms;
  #closed = false;

  constructor(options: LibraryRoomsOptions) {
    this.#options = options;
    this.#rooms = new JoinedRooms({ ...options, tell: (room, event) => this.#tell(room, event) });
  }

  get streams(): RoomStreams {
    return this.#rooms.streams;
  }

  /** A request of the page. It is answered after those before it. Never throws. */
  receive(argument: unknown): void {
    const id = common.id.safeParse((argument as { id?: unknown } | null | undefined)?.id);
    if (!id.success) return;
    const parsed = Request.safeParse(argument);
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]!;
      return this.#refuse(id.data, new GatewayError('INVALID_REQUEST', `${path.map(String).join('.')} ${message}.`));
    }
    this.#rooms
      .run(() => this.#run(parsed.data))
      .then(
        (more) => this.#reply({ id: id.data, ...more }),
        (error: unknown) => this.#refuse(id.data, error),
      );
  }

  /** The connection has ended: the client leaves its rooms. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#rooms.close();
  }

  async #run(request: Request): Promise<Partial<RoomReply> | void> {
    const { room } = request;
    if (request.action === 'join') {
      const joined = await this.#rooms.join(room, scopeOf('', room), request.login);
      return joined && { memberId: joined.id };
    }
    const member = this.#rooms.member(room);
    switch (request.action) {
      case 'leave':
        return this.#rooms.leave(room);
      case 'text':
        return member.sendText(request.text);
      case 'message':
        return member.sendTo(request.to, request.text);
      case 'connect':
        return member.connectObject(request.object, request.persistent);
      case 'disconnect':
        return member.disconnectObject(request.object);
      case 'set':
        return member.change(request.object, { type: 'set', key: request.key, value: request.value });
      case 'delete':
        return member.change(request.object, { type: 'delete', key: request.key });
      case 'clear':
        return member.change(request.object, { type: 'clear' });
      case 'call':
        return member.change(request.object, { type: 'send', method: request.method, args: request.args });
    }
  }

  #tell(room: string, event: RoomEvent): void {
    const { send } = this.#options;
    if (event.type === 'closed') {
      const { code, message } = event.reason;
      return send({ room, type: 'closed', code, message });
    }
    if (event.type === 'state')
      return send({ room, type: 'state', object: event.object, properties: [...event.properties] });
    if (event.type === 'changes') return send({ room, type: 'changes', object: event.object, changes: event.changes });
    send({ room, ...event });
  }

  #reply(reply: RoomReply): void {
    if (!this.#closed) this.#options.reply(reply);
  }

  #refuse(id: RequestId, error: unknown): void {
    const { code, message } = toGatewayError(error);
    if (code === 'INTERNAL') this.#options.onError(error);
    this.#reply({ id, error: { code, message } });
  }
}

function isWithin(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((inner) => isWithin(inner, depth - 1));
}
