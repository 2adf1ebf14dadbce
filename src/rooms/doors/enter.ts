import type { Authorizer, Credentials, Principal } from '../../access/authorizer.ts';
import { Secret } from '../../net/secret.ts';
import type { RoomDoor, RoomEvent, RoomMember, Rooms } from '../room-client.ts';

/** A client that asks to be a member of a scope, as its door knows it. */
export interface RoomClient {
  readonly scope: string;
  readonly door: RoomDoor;
  readonly ip: string;
  readonly host?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly query: URLSearchParams;
}

export interface Entrance {
  readonly rooms: Rooms;
  readonly authorizer: Authorizer;
}

export interface Entry {
  readonly scope: string;
  readonly door: RoomDoor;
  readonly principal: Principal;
  readonly ip?: string | undefined;
  readonly login?: string | undefined;
  readonly receive: (event: RoomEvent) => void;
}

/**
 * Joins with the rights that the client has in the room, for as long as its credential is valid.
 *
 * @throws {GatewayError} FORBIDDEN, TOKEN_EXPIRED, ACCESS_UNAVAILABLE, INVALID_REQUEST, LOGIN_IN_USE or LIMIT_REACHED
 */
export async function enterAs({ rooms, authorizer }: Entrance, entry: Entry): Promise<RoomMember> {
  const { rooms: rights, endsAt } = await authorizer.authorize(entry.principal, 'join', { scope: entry.scope });
  return rooms.join({ ...entry, rights: rights && new Set(rights), endsAt });
}

/** @throws {GatewayError} UNAUTHORIZED, FORBIDDEN, TOKEN_EXPIRED, ACCESS_UNAVAILABLE, INVALID_REQUEST or LIMIT_REACHED */
export async function enter(
  entrance: Entrance,
  client: RoomClient,
  receive: (event: RoomEvent) => void,
): Promise<RoomMember> {
  const principal = await entrance.authorizer.identify(credentialsOf(client));
  return enterAs(entrance, { scope: client.scope, door: client.door, principal, ip: client.ip, receive });
}

/** As Red5 Pro's clients send them: in the URL. */
export function credentialsOf({ ip, host, userAgent, query }: RoomClient): Credentials {
  const { token, username, password, ...others } = Object.fromEntries(query);
  const secret = (text: string | undefined): Secret | undefined => (text ? new Secret(text) : undefined);
  return {
    door: 'rooms',
    token: secret(token),
    username: username || undefined,
    password: secret(password),
    ip,
    host,
    userAgent,
    query: others,
  };
}
