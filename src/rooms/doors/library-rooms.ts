import { z } from 'zod';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { JsonValue, ObjectChange, Participant, RoomEvent, RoomMember } from '../room-client.ts';
import { RoomStreams } from './room-streams.ts';
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

export interface LibraryRoomsOptions {
  /** Becomes a member. Events may arrive before the promise resolves. */
  readonly join: (request: {
    readonly scope: string;
    readonly login: string;
    readonly receive: (event: RoomEvent) => void;
  }) => Promise<RoomMember>;
  readonly reply: (reply: RoomReply) => void;
  readonly send: (event: LibraryEvent) => void;
  /** A request failed for a reason that is not the client's. */
  readonly onError: (error: unknown) => void;
}

/** Rooms that one client may be in at the same time. */
const MAX_ROOMS = 16;
/** Requests that may wait. */
const MAX_WAITING = 256;
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
  readonly streams: RoomStreams;
  readonly #rooms = new Map<string, RoomMember>();
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  constructor(options: LibraryRoomsOptions) {
    this.#options = options;
    this.streams = new RoomStreams(options.onError);
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
    if (this.#waiting >= MAX_WAITING)
      return this.#refuse(id.data, new GatewayError('LIMIT_REACHED', 'Too many requests at once.'));
    this.#waiting++;
    this.#last = this.#last
      .then(() => this.#run(parsed.data))
      .then(
        (more) => this.#reply({ id: id.data, ...more }),
        (error: unknown) => this.#refuse(id.data, error),
      )
      .finally(() => this.#waiting--);
  }

  /** The connection has ended: the client leaves its rooms. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const member of this.#rooms.values()) member.leave();
    this.#rooms.clear();
  }

  async #run(request: Request): Promise<Partial<RoomReply> | void> {
    if (this.#closed) return;
    if (request.action === 'join') return this.#join(request.room, request.login);
    const member = this.#rooms.get(request.room);
    if (!member) throw new GatewayError('FORBIDDEN', 'You are not in this room: join it first.');
    switch (request.action) {
      case 'leave':
        this.#forget(request.room);
        return member.leave();
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

  async #join(room: string, login: string): Promise<Partial<RoomReply> | void> {
    if (this.#rooms.has(room)) throw new GatewayError('INVALID_REQUEST', 'You are already in this room.');
    if (this.#rooms.size >= MAX_ROOMS)
      throw new GatewayError('LIMIT_REACHED', `One client can be in ${MAX_ROOMS} rooms at the same time.`);
    let left: GatewayError | undefined;
    const receive = (event: RoomEvent): void => {
      if (event.type === 'closed') left = event.reason;
      this.#tell(room, event);
    };
    const member = await this.#options.join({ scope: scopeOf('', room), login, receive });
    if (left) throw left;
    if (this.#closed) return member.leave();
    this.#rooms.set(room, member);
    this.streams.joined(room, member);
    return { memberId: member.id };
  }

  #forget(room: string): void {
    this.#rooms.delete(room);
    this.streams.left(room);
  }

  #tell(room: string, event: RoomEvent): void {
    if (this.#closed) return;
    const { send } = this.#options;
    if (event.type === 'closed') {
      this.#forget(room);
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
