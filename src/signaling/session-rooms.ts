import type { Principal } from '../access/authorizer.ts';
import { enterAs } from '../rooms/doors/enter.ts';
import { LibraryRooms } from '../rooms/doors/library-rooms.ts';
import { RoomApi } from '../rooms/doors/room-api.ts';
import type { RoomStream } from './messages.ts';
import type { JoinRequest, RoomMember, Rooms } from '../rooms/room-client.ts';
import type { WcsSession } from './wcs-session.ts';

/** The rooms of one page: those of the Room API of the Web SDK, and those of the gateway's own library. */
export class SessionRooms {
  readonly #api: RoomApi;
  readonly #library: LibraryRooms;
  /** Tells the manager of the page, which may be in the room on another node. */
  readonly #report: (report: RoomStream) => void;
  /** By the name of the stream. */
  readonly #roomOf = new Map<string, string>();

  /** @param connection the page's `connection`, as the application server has changed it */
  constructor(session: WcsSession, rooms: Rooms, principal: Principal, connection: Record<string, unknown>) {
    const { authorizer } = session.context;
    const join = (request: Pick<JoinRequest, 'scope' | 'login' | 'receive'>): Promise<RoomMember> =>
      enterAs({ rooms, authorizer }, { ...request, door: 'wcs', principal, ip: session.clientAddress });
    const onError = (error: unknown): void => session.logger.warn({ err: error }, 'a room refused a request');
    this.#report = (report) => session.viaManager && session.send('roomStream', report);
    const { login } = (connection['custom'] ?? {}) as { readonly login?: unknown };
    this.#api = new RoomApi({
      login,
      join,
      send: (payload) => session.send('OnDataEvent', { payload }),
      end: ({ code, message }) => {
        // The gateway closes all connections itself.
        // Other messages may have text of clients in them.
        if (code !== 'SHUTTING_DOWN') session.terminate(message, code === 'TERMINATED' ? message : code);
      },
      onError,
    });
    this.#library = new LibraryRooms({
      join,
      reply: (reply) => session.send('roomReply', reply),
      send: (event) => session.send('roomEvent', event),
      onError,
    });
  }

  /**
   * A command of the Room API.
   *
   * @throws {GatewayError}
   */
  command(payload: unknown): Promise<void> {
    return this.#api.command(payload);
  }

  /** A request of the gateway's library. */
  receive(argument: unknown): void {
    this.#library.receive(argument);
  }

  /** @param custom what the page has set for the stream; its `name` is the room */
  streamStarted(custom: unknown, streamName: string): void {
    const room = (custom as { readonly name?: unknown } | null | undefined)?.name;
    if (typeof room !== 'string') return;
    this.#roomOf.set(streamName, room);
    this.#started(room, streamName);
    this.#report({ room, stream: streamName, status: 'started' });
  }

  streamEnded(streamName: string, failed: boolean): void {
    const room = this.#roomOf.get(streamName);
    if (room === undefined) return;
    this.#roomOf.delete(streamName);
    this.#ended(streamName, failed);
    this.#report({ room, stream: streamName, status: failed ? 'failed' : 'ended' });
  }

  /** The page publishes a stream of a room on another node. */
  streamElsewhere({ room, stream, status }: RoomStream): void {
    if (status === 'started') this.#started(room, stream);
    else this.#ended(stream, status === 'failed');
  }

  close(): void {
    this.#api.close();
    this.#library.close();
  }

  #started(room: string, stream: string): void {
    this.#api.streams.started(room, stream);
    this.#library.streams.started(room, stream);
  }

  #ended(stream: string, failed: boolean): void {
    this.#api.streams.ended(stream, failed);
    this.#library.streams.ended(stream, failed);
  }
}
