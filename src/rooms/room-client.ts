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

/** What a member is told, in the same order as all others. */
export type RoomEvent =
  /** Text for all in the scope. */
  | { readonly type: 'text'; readonly text: string }
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

export type RoomDoor = 'websocket' | 'rtmp' | 'datachannel';

export interface JoinRequest {
  readonly scope: string;
  readonly door: RoomDoor;
  readonly principal: Principal;
  readonly receive: (event: RoomEvent) => void;
}

/** The rooms, as doors see them. */
export interface Rooms {
  /** @throws {GatewayError} INVALID_REQUEST, FORBIDDEN, LIMIT_REACHED or ACCESS_UNAVAILABLE */
  join(request: JoinRequest): Promise<RoomMember>;
}
