import type { Principal } from '../access/authorizer.ts';
import { enterAs } from '../rooms/doors/enter.ts';
import { LibraryRooms } from '../rooms/doors/library-rooms.ts';
import { RoomApi } from '../rooms/doors/room-api.ts';
import type { JoinRequest, RoomMember, Rooms } from '../rooms/room-client.ts';
import type { WcsSession } from './wcs-session.ts';

/** The rooms of one page: those of the Room API of the Web SDK, and those of the gateway's own library. */
export class SessionRooms {
  readonly #api: RoomApi;
  readonly #library: LibraryRooms;

  /** @param connection the page's `connection`, as the application server has changed it */
  constructor(session: WcsSession, rooms: Rooms, principal: Principal, connection: Record<string, unknown>) {
    const { authorizer } = session.context;
    const join = (request: Pick<JoinRequest, 'scope' | 'login' | 'receive'>): Promise<RoomMember> =>
      enterAs({ rooms, authorizer }, { ...request, door: 'wcs', principal });
    const onError = (error: unknown): void => session.logger.warn({ err: error }, 'a room refused a request');
    const { login } = (connection['custom'] ?? {}) as { readonly login?: unknown };
    this.#api = new RoomApi({
      login,
      join,
      send: (payload) => session.send('OnDataEvent', { payload }),
      end: ({ code, message }) => {
        // The gateway closes all connections itself.
        if (code !== 'SHUTTING_DOWN') session.terminate(message);
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
    this.#api.streams.started(room, streamName);
    this.#library.streams.started(room, streamName);
  }

  streamEnded(streamName: string, failed: boolean): void {
    this.#api.streams.ended(streamName, failed);
    this.#library.streams.ended(streamName, failed);
  }

  close(): void {
    this.#api.close();
    this.#library.close();
  }
}
