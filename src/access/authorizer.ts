import type { Secret } from '../net/secret.ts';

/** What a client may ask for. */
export type Action = 'publish' | 'play' | 'push' | 'control' | 'read' | 'admin';

export const ALL_ACTIONS: ReadonlySet<Action> = new Set(['publish', 'play', 'push', 'control', 'read', 'admin']);

/** The interface through which a client calls. */
export type Door = 'rest' | 'whip' | 'whep' | 'wcs' | 'console' | 'metrics';

/** What a client presents, parsed once where it enters. */
export interface Credentials {
  readonly door: Door;
  /** From `Authorization: Bearer`, `X-Api-Key`, `authToken` or `?token=`. */
  readonly token?: Secret | undefined;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  /** The client's address. */
  readonly ip: string;
  /** The `Host` header. It exposes a page whose name was made to resolve to this machine (DNS rebinding). */
  readonly host?: string | undefined;
  readonly userAgent?: string | undefined;
}

/** Who a client is, as the provider that recognised it knows it. */
export interface Principal {
  /** Stable for one client, and safe to log. */
  readonly id: string;
  readonly actions: ReadonlySet<Action>;
}

/** What an action concerns. */
export interface Resource {
  readonly stream?: string | undefined;
}

/** Recognises one kind of credential. */
export interface AccessProvider {
  /**
   * @returns the principal, or `undefined` if the credential is of another kind
   * @throws {GatewayError} UNAUTHORIZED or HOST_NOT_ALLOWED if it is of this kind and not valid
   */
  identify(credentials: Credentials): Promise<Principal | undefined>;
}

/** Decides what a client may do. Every door asks it. */
export interface Authorizer {
  /** @throws {GatewayError} UNAUTHORIZED or HOST_NOT_ALLOWED if no provider recognises the client */
  identify(credentials: Credentials): Promise<Principal>;
  /** @throws {GatewayError} FORBIDDEN if the principal may not do this */
  authorize(principal: Principal, action: Action, resource?: Resource): Promise<void>;
}
