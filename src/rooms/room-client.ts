import type { Principal } from '../access/authorizer.ts';
import type { GatewayError } from '../errors.ts';

/** What doors need of the rooms. */

/** Plain JSON, as it is stored and sent. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };

/** One change of a shared object, and the id of the member that made it. */
export type ObjectChange =
  | { readonly type: 'set'; readonly key: string; readonly value: JsonValue; readonly by: string }
  | { readonly type: 'delete'; readonly key: string; readonly by: string }
  | { readonly type: 'clear'; readonly by: string }
  /** Calls a method of all members that are connected to the object. */
  | { readonly type: 'send'; readonly method: string; readonly args: readonly JsonValue[]; readonly by: string };

/** A member that has a login, and the names of the streams that it publishes in the scope. */
export interface Participant {
  readonly login: string;
  readonly streams: readonly string[];
}

/** What a member is told, in the same order as all others. */
export type RoomEvent =
  /** Text for all in the scope. `from` is the login of the sender, if it has one. */
  | { readonly type: 'text'; readonly text: string; readonly from?: string | undefined }
  /** A text for this member alone. */
  | { readonly type: 'message'; readonly text: string; readonly from: string }
  /** The other members that have a login: the first event of a member that has one itself. Changes follow. */
  | { readonly type: 'members'; readonly members: readonly Participant[] }
  | { readonly type: 'joined' | 'left'; readonly login: string }
  /** A stream of a member is live, or is not any more: it was stopped, or has failed. */
  | { readonly type: 'published' | 'unpublished' | 'failed'; readonly login: string; readonly stream: string }
  /** The member is connected to the object; changes follow. */
  | {
      readonly type: 'state';
      readonly object: string;
      readonly version: number;
      readonly persistent: boolean;
      readonly properties: ReadonlyMap<string, JsonValue>;
    }
  /** The changes of one tick. The same object for all members, so that what is made of it can be shared. */
  | {
      readonly type: 'changes';
      readonly object: string;
      readonly version: number;
      readonly persistent: boolean;
      readonly changes: readonly ObjectChange[];
    }
  /** The member has been removed: it is too fast, too slow, or the gateway closes. Nothing follows. */
  | { readonly type: 'closed'; readonly reason: GatewayError };

/** An operation on a shared object. */
export type ObjectOperation =
  | { readonly type: 'set'; readonly key: string; readonly value: JsonValue }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'clear' }
  | { readonly type: 'send'; readonly method: string; readonly args: readonly JsonValue[] };

/** One client in one scope. */
export interface RoomMember {
  readonly id: string;
  readonly scope: string;
  /** Tells the other members that a stream of this member is live. Without a login nobody is told. */
  publish(stream: string): Promise<void>;
  unpublish(stream: string, failed: boolean): Promise<void>;
  /**
   * Sends a text to one member.
   *
   * @throws {GatewayError} MEMBER_NOT_FOUND, FORBIDDEN if this member has no login, or a limit is reached
   */
  sendTo(login: string, text: string): Promise<void>;
  /** Sends a text to all in the scope, this member included. */
  sendText(text: string): Promise<void>;
  /** The event `state` follows, and changes after it. */
  connectObject(object: string, persistent: boolean): Promise<void>;
  disconnectObject(object: string): void;
  /** @throws {GatewayError} if the object or the right is missing, or a limit is reached */
  change(object: string, operation: ObjectOperation): Promise<void>;
  /** Idempotent. */
  leave(): void;
}

export type RoomDoor = 'websocket' | 'rtmp' | 'datachannel' | 'wcs';

export interface JoinRequest {
  readonly scope: string;
  readonly door: RoomDoor;
  readonly principal: Principal;
  /** The name by which other members know this one; unique in the scope. Without one it is not shown to them. */
  readonly login?: string | undefined;
  readonly receive: (event: RoomEvent) => void;
}

/** The rooms, as doors see them. */
export interface Rooms {
  /** @throws {GatewayError} INVALID_REQUEST, FORBIDDEN, LOGIN_IN_USE, LIMIT_REACHED or ACCESS_UNAVAILABLE */
  join(request: JoinRequest): Promise<RoomMember>;
}
