import { z } from 'zod';
import { GatewayError } from '../../errors.ts';
import type { Participant, RoomEvent } from '../room-client.ts';
import { JoinedRooms, type JoinedRoomsOptions } from './joined-rooms.ts';
import type { RoomStreams } from './room-streams.ts';
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

export interface RoomApiOptions extends Pick<JoinedRoomsOptions, 'join' | 'onError'> {
  /** As the page has sent it: `custom.login` of its connection. */
  readonly login: unknown;
  readonly send: (payload: RoomPayload) => void;
  /** Ends the connection: a room has removed the client. The SDK has no event for that. */
  readonly end: (reason: GatewayError) => void;
}

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
  readonly #rooms: JoinedRooms;

  constructor(options: RoomApiOptions) {
    this.#options = options;
    this.#rooms = new JoinedRooms({ ...options, tell: (room, event) => this.#tell(room, event) });
  }

  get streams(): RoomStreams {
    return this.#rooms.streams;
  }

  /**
   * Carries out one command, after those before it.
   *
   * @throws {GatewayError} whose message is for the page
   */
  async command(payload: unknown): Promise<void> {
    const command = parse(payload);
    await this.#rooms.run(() => this.#run(command));
  }

  /** The connection has ended: the client leaves its rooms. Idempotent. */
  close(): void {
    this.#rooms.close();
  }

  #run(command: z.output<typeof Command>): Promise<void> | void {
    switch (command.command) {
      case 'join':
        return this.#join(command.options);
      case 'leave':
        return this.#rooms.leave(command.options.name);
      case 'sendMessage': {
        const { roomConfig, to, text } = command.options;
        return this.#rooms.member(roomConfig.name).sendTo(to, text);
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
    const { login } = this.#options;
    if (typeof login !== 'string' || login === '')
      throw new GatewayError('INVALID_REQUEST', 'A login is required: set username of RoomApi.connect().');
    if (record)
      throw new GatewayError(
        'NOT_IMPLEMENTED',
        'Rooms are not recorded as a whole: publish the streams with record: true.',
      );
    await this.#rooms.join(name, scopeOf(ROOM_APP, name), login);
  }

  #tell(roomName: string, event: RoomEvent): void {
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
      `payload.roomName is not allowed for a page with the appKey ${ROOM_APP}, which takes it for an event of ` +
        'its room. Use another name, or send a text with POST /api/v1/rooms/{room}/messages.',
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
