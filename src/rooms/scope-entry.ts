import type { JsonValue, ObjectOperation, RoomDoor } from './room-client.ts';

/** The process that a member is connected to. */
export interface MemberHost {
  /** `node_id` in a cluster; empty without one. */
  readonly node: string;
  /** Tells the process from an earlier one of the same node. */
  readonly instance: string;
}

/** One step in the life of a scope. All entries of a scope are applied in one order: see {@link ScopeState}. */
export type ScopeEntry =
  | {
      readonly type: 'join';
      readonly id: string;
      readonly login?: string | undefined;
      readonly door: RoomDoor;
      readonly host: MemberHost;
      /** Milliseconds since 1970. */
      readonly at: number;
      /** A member that the scope has lost is back with what it had. It is not told the state again. */
      readonly resumed?: { readonly streams: readonly string[]; readonly objects: readonly string[] } | undefined;
    }
  | { readonly type: 'leave'; readonly id: string }
  /** Somebody removes a member. */
  | { readonly type: 'remove'; readonly id: string; readonly code: string; readonly message: string }
  /** A process is gone, and its members with it. `by`: the process that says so. */
  | { readonly type: 'gone'; readonly instance: string; readonly by: string }
  | { readonly type: 'publish'; readonly id: string; readonly stream: string }
  | { readonly type: 'unpublish'; readonly id: string; readonly stream: string; readonly failed: boolean }
  /** Without a member it comes from the application server. */
  | {
      readonly type: 'text';
      readonly id?: string | undefined;
      readonly from?: string | undefined;
      readonly text: string;
    }
  | { readonly type: 'message'; readonly id: string; readonly to: string; readonly text: string }
  | { readonly type: 'connect'; readonly id: string; readonly object: string; readonly persistent: boolean }
  | { readonly type: 'disconnect'; readonly id: string; readonly object: string }
  | { readonly type: 'change'; readonly id: string; readonly object: string; readonly operation: ObjectOperation }
  | { readonly type: 'acquire' | 'release' | 'deleteObject'; readonly object: string }
  | {
      readonly type: 'configure';
      readonly attributes?: Readonly<Record<string, JsonValue>> | undefined;
      readonly maxMembers?: number | undefined;
    };

/** A scope as text, for the store and for other processes. */
export interface ScopeSnapshot {
  readonly limits: ScopeLimits;
  readonly maxMembers: number;
  readonly attributes: Readonly<Record<string, JsonValue>>;
  readonly members: readonly (MemberRecord & { readonly streams: readonly string[] })[];
  readonly objects: readonly ObjectRecord[];
}

/** What the entries of a scope are checked against: the same on all processes, as its first one had it set. */
export interface ScopeLimits {
  readonly members: number;
  readonly objects: number;
  readonly properties: number;
  readonly objectBytes: number;
  readonly scopeBytes: number;
}

export interface MemberRecord {
  readonly id: string;
  readonly login?: string | undefined;
  readonly door: RoomDoor;
  readonly host: MemberHost;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface ObjectRecord {
  readonly name: string;
  readonly persistent: boolean;
  readonly acquired: number;
  readonly version: number;
  readonly properties: readonly (readonly [string, JsonValue])[];
  /** Ids of the members that are connected to it. */
  readonly members: readonly string[];
}
