import { GatewayError } from '../../errors.ts';
import { SerialWork } from '../../runtime/async.ts';
import type { RoomEvent, RoomMember } from '../room-client.ts';
import { RoomStreams } from './room-streams.ts';

/** Becomes a member. Events may arrive before the promise resolves. */
export type JoinRoom = (request: {
  readonly scope: string;
  readonly login: string;
  readonly receive: (event: RoomEvent) => void;
}) => Promise<RoomMember>;

export interface JoinedRoomsOptions {
  readonly join: JoinRoom;
  /** What a room tells. Nothing follows `closed`. */
  readonly tell: (room: string, event: RoomEvent) => void;
  /** A room was not told of a stream. */
  readonly onError: (error: unknown) => void;
}

/** Rooms that one client may be in at the same time. */
const MAX_ROOMS = 16;
/** Requests that may wait. A page sends one for each participant to whom it writes. */
const MAX_WAITING = 256;

/** The rooms that one client of a door is in, by the names that it knows. Its requests are carried out in order. */
export class JoinedRooms {
  readonly streams: RoomStreams;
  readonly #options: JoinedRoomsOptions;
  readonly #members = new Map<string, RoomMember>();
  readonly #requests = new SerialWork();
  #closed = false;

  constructor(options: JoinedRoomsOptions) {
    this.#options = options;
    this.streams = new RoomStreams(options.onError);
  }

  /**
   * Carries out a request after those before it; not at all when the connection has ended.
   *
   * @throws {GatewayError} LIMIT_REACHED if too many wait; what the request throws
   */
  async run<T>(request: () => T | PromiseLike<T>): Promise<T | undefined> {
    if (this.#requests.size >= MAX_WAITING) throw new GatewayError('LIMIT_REACHED', 'Too many requests at once.');
    return this.#requests.run(() => (this.#closed ? undefined : request()));
  }

  /**
   * @returns nothing if the connection has ended meanwhile
   * @throws {GatewayError} why the client is not in the room
   */
  async join(room: string, scope: string, login: string): Promise<RoomMember | undefined> {
    if (this.#members.has(room)) throw new GatewayError('INVALID_REQUEST', 'You are already in this room.');
    if (this.#members.size >= MAX_ROOMS)
      throw new GatewayError('LIMIT_REACHED', `One client can be in ${MAX_ROOMS} rooms at the same time.`);
    let left: GatewayError | undefined;
    const receive = (event: RoomEvent): void => {
      if (this.#closed) return;
      if (event.type === 'closed') {
        left = event.reason;
        this.#forget(room);
      }
      this.#options.tell(room, event);
    };
    const member = await this.#options.join({ scope, login, receive });
    if (left) throw left;
    if (this.#closed) return void member.leave();
    this.#members.set(room, member);
    this.streams.joined(room, member);
    return member;
  }

  /** @throws {GatewayError} FORBIDDEN */
  member(room: string): RoomMember {
    const member = this.#members.get(room);
    if (!member) throw new GatewayError('FORBIDDEN', 'You are not in this room: join it first.');
    return member;
  }

  /** @throws {GatewayError} FORBIDDEN */
  leave(room: string): void {
    const member = this.member(room);
    this.#forget(room);
    member.leave();
  }

  /** The connection has ended: the client leaves its rooms and is told nothing more. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const member of this.#members.values()) member.leave();
    this.#members.clear();
  }

  #forget(room: string): void {
    this.#members.delete(room);
    this.streams.left(room);
  }
}
