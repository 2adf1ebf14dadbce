import type { Destination } from '../net/destination.ts';
import type { Secret } from '../net/secret.ts';

/** What a client may ask for. */
export const ACTIONS = ['publish', 'play', 'push', 'call', 'control', 'read', 'admin', 'join'] as const;
export type Action = (typeof ACTIONS)[number];

export const ALL_ACTIONS: ReadonlySet<Action> = new Set(ACTIONS);

/**
 * What a member of a room may do: connect to objects, change their properties, and send texts, messages and calls of
 * methods.
 */
export const ROOM_RIGHTS = ['read', 'write', 'send'] as const;
export type RoomRight = (typeof ROOM_RIGHTS)[number];

/** The interface through which a client calls. */
export type Door =
  'rest' | 'whip' | 'whep' | 'hls' | 'red5' | 'wcs' | 'console' | 'metrics' | 'probe' | 'rooms' | 'sip';

/** What a client presents, parsed once where it enters. */
export interface Credentials {
  readonly door: Door;
  /** From `Authorization: Bearer`, `X-Api-Key`, `authToken`, `custom.token` or `?token=`. */
  readonly token?: Secret | undefined;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  /** The client's address. */
  readonly ip: string;
  /** The `Host` header. It exposes a page whose name was made to resolve to this machine (DNS rebinding). */
  readonly host?: string | undefined;
  readonly userAgent?: string | undefined;
  /** The parameters of the URL. */
  readonly query?: Readonly<Record<string, unknown>> | undefined;
  /** A WebSocket connection that asks to be accepted. */
  readonly connection?: ConnectionRequest | undefined;
  /** The principal of the WebSocket connection over which a credential for one stream is presented. */
  readonly connectedAs?: Principal | undefined;
}

export interface ConnectionRequest {
  readonly sessionId: string;
  /** The client's `connection`, as it was sent. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Who a client is and what it may do, as the provider that recognised it knows it. */
export interface Principal {
  /** Stable for one client, and safe to log. */
  readonly id: string;
  readonly actions: ReadonlySet<Action>;
  /** Names of streams, exact or with `*`. Undefined: all. */
  readonly streams?: readonly string[] | undefined;
  /** What it may do in rooms, by their scope, exact or with `*`. Undefined: everything in all. */
  readonly rooms?: ReadonlyMap<string, readonly RoomRight[]> | undefined;
  /**
   * Host names and addresses of RTMP servers, exact, `*.example.com` or `*`. Undefined: all that the settings allow.
   */
  readonly destinations?: readonly string[] | undefined;
  /** Seconds that publishing may last, from the first publication with this credential. */
  readonly maxDurationS?: number | undefined;
  /** When the credential expires, in milliseconds since 1970. */
  readonly expiresAt?: number | undefined;
  /** Fields of the client's `connection` as the application server has changed them. The client gets them back. */
  readonly connection?: Readonly<Record<string, unknown>> | undefined;
}

/** What an action concerns. */
export interface Resource {
  readonly stream?: string | undefined;
  /** The path of a scope of rooms. */
  readonly scope?: string | undefined;
  /** Where a push goes. */
  readonly destination?: Pick<Destination, 'host' | 'redacted'> | undefined;
  /**
   * The publisher or player that is about to start. Absent for questions about a running session, or about none.
   */
  readonly request?: StreamRequest | undefined;
}

/** The request of a publisher or player, for providers that pass it on. */
export interface StreamRequest {
  readonly sessionId: string;
  readonly mediaSessionId: string;
  readonly appKey: string;
  readonly mediaProvider: string;
  readonly hasAudio: boolean;
  readonly hasVideo: boolean;
  readonly offerSdp: string;
  /** Kilobits per second; 0 for no request. */
  readonly bitrate: number;
  /** A recording is requested. */
  readonly record?: boolean | undefined;
  /** What the page has set. */
  readonly custom?: unknown;
}

/**
 * A push that the application server asks for along with a publication: the body of `/push/startup` without
 * `streamName`.
 */
export interface PushOrder {
  readonly rtmpUrl: string;
}

/** The conditions under which an action is allowed. */
export interface Grant {
  /** When a publication, a player or the membership of a room must end, in milliseconds since 1970. */
  readonly endsAt?: number | undefined;
  /** The stream that is published or played instead of the one that the client has asked for. */
  readonly streamName?: string | undefined;
  /** Started with the publication. */
  readonly pushes?: readonly PushOrder[] | undefined;
  /** The publication is recorded. */
  readonly record?: boolean | undefined;
  /** What the client may do in the room that it joins. Undefined: everything. */
  readonly rooms?: readonly RoomRight[] | undefined;
  /** To be called once, when the stream that was published with this grant has ended. */
  readonly release?: (() => void) | undefined;
}

/** Recognises one kind of credential. */
export interface AccessProvider {
  /**
   * @returns the principal, or `undefined` if the credential is of another kind
   * @throws {GatewayError} UNAUTHORIZED, TOKEN_EXPIRED, HOST_NOT_ALLOWED or ACCESS_UNAVAILABLE if it is of this kind
   * and not valid
   */
  identify(credentials: Credentials): Promise<Principal | undefined>;
  /**
   * Decides about one action of a principal of this provider, after the principal's own rights were checked.
   *
   * @throws {GatewayError} FORBIDDEN, TOKEN_EXPIRED or ACCESS_UNAVAILABLE
   */
  authorize?(principal: Principal, action: Action, resource: Resource): Promise<Grant>;
  /** Ends requests that are under way. Idempotent. */
  close?(): Promise<void>;
}

/** Decides what a client may do. Every door asks it. */
export interface Authorizer {
  /**
   * @throws {GatewayError} UNAUTHORIZED, TOKEN_EXPIRED, HOST_NOT_ALLOWED or ACCESS_UNAVAILABLE if no provider accepts
   * the client
   */
  identify(credentials: Credentials): Promise<Principal>;
  /** @throws {GatewayError} FORBIDDEN, TOKEN_EXPIRED or ACCESS_UNAVAILABLE if the principal may not do this */
  authorize(principal: Principal, action: Action, resource?: Resource): Promise<Grant>;
}
