import { z } from 'zod';
import { GatewayError } from '../../errors.ts';
import type { Participant, RoomEvent, RoomMember } from '../room-client.ts';
import { RoomStreams } from './room-streams.ts';
import { scopeOf } from './scope-url.ts';

/** The first segment of the scopes of the Room API, which is also the `appKey` of its clients. */
export const ROOM_APP = 'roomApp';

/** A member, or one stream of a member. */
type StateEntry = string | { readonly login: string; readonly name: string };

/** What a room tells a client of the Room API, as the payload of `OnDataEvent`. */
export type RoomPayload = { readonly roomName: string } & (
  | { readonly name: 'STATE'; readonly info: readonly StateEntry[] }
  | { readonly name: 'JOINED' | 'LEFT'; readonly info: string }
  | {
      readonly name: 'PUBLISHED' | 'UNPUBLISHED' | 'FAILED';
      readonly info: { readonly login: string; readonly name: string };
    }
  | { readonly name: 'MESSAGE'; readonly info: { readonly from: string; readonly text: string } }
);

export interface RoomApiOptions {
  /** As the page has sent it: `custom.login` of its connection. */
  readonly login: unknown;
  /** Becomes a member. Events may arrive before the promise resolves. */
  readonly join: (request: {
    readonly scope: string;
    readonly login: string;
    readonly receive: (event: RoomEvent) => void;
  }) => Promise<RoomMember>;
  readonly send: (payload: RoomPayload) => void;
  /** Ends the connection: a room has removed the client. The SDK has no event for that. */
  readonly end: (reason: GatewayError) => void;
  /** A room was not told of a stream. */
  readonly onError: (error: unknown) => void;
}

/** Rooms that one client may be in at the same time. */
const MAX_ROOMS = 16;
/** Commands that may wait. A page sends one for each participant to whom it writes. */
const MAX_WAITING = 256;

const RoomName = z
  .string('must be the name of a room')
  .min(1, 'must be the name of a room')
  .max(128, 'must have at most 128 characters');
const flag = z.union([z.boolean(), z.literal('true').transform(() => true), z.literal('false').transform(() => false)]);

/** What the SDK sends with `sendData`. */
const Command = z.discriminatedUnion(
  'command',
  [
    z.object({
      command: z.literal('join'),
      options: z.object({ name: RoomName, record: flag.nullish() }, 'must be an object'),
    }),
    z.object({ command: z.literal('leave'), options: z.object({ name: RoomName }, 'must be an object') }),
    z.object({
      command: z.literal('sendMessage'),
      options: z.object(
        {
          roomConfig: z.object({ name: RoomName }, 'must be an object'),
          to: z.string('must be the login of a member'),
          text: z.string('must be a text'),
        },
        'must be an object',
      ),
    }),
  ],
  'must have a command: join, leave or sendMessage',
);

/** One client of the official Room API: its commands become operations of a member, and events of its rooms payloads. */
export class RoomApi {
  readonly #options: RoomApiOptions;
  readonly #rooms = new Map<string, RoomMember>();
  readonly streams: RoomStreams;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  constructor(options: RoomApiOptions) {
    this.#options = options;
    this.streams = new RoomStreams(options.onError);
  }

  /**
   * Carries out one command, after those before it.
   *
   * @throws {GatewayError} whose message is for the page
   */
  async command(payload: unknown): Promise<void> {
    if (this.#waiting >= MAX_WAITING) throw new GatewayError('LIMIT_REACHED', 'Too many commands at once.');
    const command = parse(payload);
    this.#waiting++;
    const done = this.#last.then(() => this.#run(command));
    this.#last = done.catch(() => undefined);
    try {
      await done;
    } finally {
      this.#waiting--;
    }
  }

  /** The connection has ended: the client leaves its rooms. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const member of this.#rooms.values()) member.leave();
    this.#rooms.clear();
  }

  #run(command: z.output<typeof Command>): Promise<void> | void {
    switch (command.command) {
      case 'join':
        return this.#join(command.options);
      case 'leave':
        return this.#leave(command.options.name);
      case 'sendMessage': {
        const { roomConfig, to, text } = command.options;
        return this.#memberIn(roomConfig.name).sendTo(to, text);
      }
    }
  }

  async #join({
    name,
    record,
  }: {
    readonly name: string;
    readonly record?: boolean | null | undefined;
  }): Promise<void> {
    const { login, join } = this.#options;
    if (typeof login !== 'string' || login === '')
      throw new GatewayError('INVALID_REQUEST', 'A login is required: set username of RoomApi.connect().');
    if (record)
      throw new GatewayError(
        'NOT_IMPLEMENTED',
        'Rooms are not recorded as a whole: publish the streams with record: true.',
      );
    if (this.#rooms.has(name)) throw new GatewayError('INVALID_REQUEST', 'You are already in this room.');
    if (this.#rooms.size >= MAX_ROOMS)
      throw new GatewayError('LIMIT_REACHED', `One client can be in ${MAX_ROOMS} rooms at the same time.`);
    let left: GatewayError | undefined;
    const receive = (event: RoomEvent): void => {
      if (event.type === 'closed') left = event.reason;
      this.#tell(name, event);
    };
    const member = await join({ scope: scopeOf(ROOM_APP, name), login, receive });
    if (left) throw left;
    if (this.#closed) return member.leave();
    this.#rooms.set(name, member);
    this.streams.joined(name, member);
  }

  #leave(name: string): void {
    const member = this.#memberIn(name);
    this.#forget(name);
    member.leave();
  }

  #forget(name: string): void {
    this.#rooms.delete(name);
    this.streams.left(name);
  }

  #memberIn(name: string): RoomMember {
    const member = this.#rooms.get(name);
    if (!member) throw new GatewayError('FORBIDDEN', 'You are not in this room: join it first.');
    return member;
  }

  #tell(roomName: string, event: RoomEvent): void {
    if (this.#closed) return;
    const { send, end } = this.#options;
    switch (event.type) {
      case 'members':
        return send({ roomName, name: 'STATE', info: stateOf(event.members) });
      case 'joined':
        return send({ roomName, name: 'JOINED', info: event.login });
      case 'left':
        return send({ roomName, name: 'LEFT', info: event.login });
      case 'published':
        return send({ roomName, name: 'PUBLISHED', info: { login: event.login, name: event.stream } });
      case 'unpublished':
        return send({ roomName, name: 'UNPUBLISHED', info: { login: event.login, name: event.stream } });
      case 'failed':
        return send({ roomName, name: 'FAILED', info: { login: event.login, name: event.stream } });
      case 'message':
        return send({ roomName, name: 'MESSAGE', info: { from: event.from, text: event.text } });
      case 'text':
        // The SDK knows senders by their login only.
        if (event.from !== undefined && event.from !== this.#options.login)
          send({ roomName, name: 'MESSAGE', info: { from: event.from, text: event.text } });
        return;
      case 'state':
      case 'changes':
        // The Room API has no objects.
        return;
      case 'closed':
        this.#forget(roomName);
        return end(event.reason);
    }
  }
}

/**
 * Pages of the Room API take data with the field `roomName` for events of the gateway.
 *
 * @throws {GatewayError} INVALID_REQUEST
 */
export function checkNoRoomEvent(payload: unknown): void {
  if (typeof payload === 'object' && payload !== null && 'roomName' in payload)
    throw new GatewayError(
      'INVALID_REQUEST',
      `payload.roomName is not allowed for a page with the appKey ${ROOM_APP}, which takes it for an event of its room. Use another name, or send a text with POST /api/v1/rooms/{room}/messages.`,
    );
}

/** A member with several streams is named once for each. */
const stateOf = (members: readonly Participant[]): StateEntry[] =>
  members.flatMap(({ login, streams }): StateEntry[] =>
    streams.length === 0 ? [login] : streams.map((name) => ({ login, name })),
  );

/** @throws {GatewayError} INVALID_REQUEST */
function parse(payload: unknown): z.output<typeof Command> {
  const parsed = Command.safeParse(payload);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  const field = path[0] === 'command' ? 'command' : ['payload', ...path.map(String)].join('.');
  const what = field === 'command' ? 'must be join, leave or sendMessage' : message;
  throw new GatewayError('INVALID_REQUEST', `${field} ${what}.`);
}
