import type { Principal, RoomRight } from '../access/authorizer.ts';
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

export type { RoomRight } from '../access/authorizer.ts';

export interface JoinRequest {
  readonly scope: string;
  readonly door: RoomDoor;
  readonly principal: Principal;
  /** The address of the client. */
  readonly ip?: string | undefined;
  /** The name by which other members know this one; unique in the scope. Without one it is not shown to them. */
  readonly login?: string | undefined;
  /** Undefined: all of them. */
  readonly rights?: ReadonlySet<RoomRight> | undefined;
  /** When the member is removed with TOKEN_EXPIRED, in milliseconds since 1970. Undefined: not at all. */
  readonly endsAt?: number | undefined;
  readonly receive: (event: RoomEvent) => void;
}

/** A scope as operators see it. */
export interface ScopeSummary {
  readonly scope: string;
  readonly members: number;
  readonly objects: number;
}

export interface MemberView {
  readonly id: string;
  readonly login?: string | undefined;
  readonly door: RoomDoor;
  /** In a cluster: the node that the client is connected to. */
  readonly node?: string | undefined;
  /** Names of the streams that it publishes in the scope. */
  readonly streams: readonly string[];
  /** Names of the objects that it is connected to. */
  readonly objects: readonly string[];
  /** ISO time. */
  readonly joinedAt: string;
}

export interface ObjectView {
  readonly name: string;
  readonly persistent: boolean;
  /** How often it was acquired and not released: it stays without members. */
  readonly acquired: number;
  readonly version: number;
  /** Members that are connected to it. */
  readonly members: number;
  readonly properties: Readonly<Record<string, JsonValue>>;
}

export interface ScopeView {
  readonly scope: string;
  /** Set by {@link RoomsControl.configure}. */
  readonly attributes: Readonly<Record<string, JsonValue>>;
  readonly maxMembers: number;
  readonly members: readonly MemberView[];
  readonly objects: readonly ObjectView[];
}

/** A client of this process has joined or left, or with it a scope begins or ends. */
export type RoomActivity =
  | { readonly type: 'created' | 'removed'; readonly scope: string }
  | { readonly type: 'joined'; readonly scope: string; readonly member: MemberView }
  /** `reason`: why it was removed; undefined if it has left by itself. */
  | { readonly type: 'left'; readonly scope: string; readonly member: MemberView; readonly reason?: GatewayError };

/** The rooms, as doors see them. */
export interface Rooms {
  /** @throws {GatewayError} INVALID_REQUEST, FORBIDDEN, LOGIN_IN_USE, LIMIT_REACHED or ACCESS_UNAVAILABLE */
  join(request: JoinRequest): Promise<RoomMember>;
}

/** The rooms, as operators see them. In a cluster: the rooms of all nodes. */
export interface RoomsControl extends Rooms {
  /** In the order of their names. `after`: continues after this scope. */
  list(options: { readonly prefix?: string; readonly after?: string; readonly limit: number }): Promise<ScopeSummary[]>;
  find(scope: string): Promise<ScopeView | undefined>;
  /**
   * Changes an existing scope. Attributes are merged; `null` removes one.
   *
   * @throws {GatewayError} ROOM_NOT_FOUND or LIMIT_REACHED
   */
  configure(
    scope: string,
    change: { readonly attributes?: Readonly<Record<string, JsonValue>>; readonly maxMembers?: number },
  ): Promise<void>;
  /** @throws {GatewayError} ROOM_NOT_FOUND or MEMBER_NOT_FOUND */
  removeMember(scope: string, memberId: string, reason: GatewayError): Promise<void>;
  /**
   * Sends a text to all in a scope. `from`: shown as the sender.
   *
   * @throws {GatewayError} ROOM_NOT_FOUND, INVALID_REQUEST or RATE_LIMITED
   */
  sendText(scope: string, text: string, from?: string): Promise<void>;
  /**
   * Keeps an object, and its scope, without members until it is released as often. Creates it if there is none.
   *
   * @throws {GatewayError} LIMIT_REACHED or INVALID_REQUEST
   */
  acquireObject(scope: string, name: string): Promise<void>;
  /** @throws {GatewayError} ROOM_NOT_FOUND, OBJECT_NOT_FOUND or INVALID_REQUEST if it is not acquired */
  releaseObject(scope: string, name: string): Promise<void>;
  /**
   * Removes an object, also a persistent one. Its members are told that all properties are gone, and are disconnected
   * from it.
   *
   * @throws {GatewayError} ROOM_NOT_FOUND or OBJECT_NOT_FOUND
   */
  deleteObject(scope: string, name: string): Promise<void>;

  /** Scopes and members of this process. */
  readonly counts: { readonly scopes: number; readonly members: number; readonly objects: number };
  /** Returns a function that ends this. */
  onActivity(listener: (activity: RoomActivity) => void): () => void;
}
