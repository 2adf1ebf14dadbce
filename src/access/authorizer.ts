import type { Secret } from '../net/secret.ts';

/** What a client may ask for. */
export type Action = 'publish' | 'play' | 'push' | 'control' | 'read' | 'admin';

/** Where a client comes in. */
export type Door = 'rest' | 'whip' | 'whep' | 'wcs' | 'console' | 'metrics';

/** What a client brings along. Parsed once, at the door. */
export interface Credentials {
  readonly door: Door;
  /** From `Authorization: Bearer`, `X-Api-Key`, `authToken` or `?token=`. */
  readonly token?: Secret | undefined;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  /** The client's address. */
  readonly ip: string;
  /** The `Host` header: it tells a page whose name was made to resolve to this machine (DNS rebinding). */
  readonly host?: string | undefined;
  readonly userAgent?: string | undefined;
}

/** Who a client is, as far as the provider that recognised it knows. */
export interface Principal {
  /** Stable for one client; safe to log. */
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
   * @returns the principal, or `undefined` where the credential is of another kind
   * @throws {GatewayError} UNAUTHORIZED or HOST_NOT_ALLOWED where it is of this kind and not valid
   */
  identify(credentials: Credentials): Promise<Principal | undefined>;
}

/** The one question of every door. */
export interface Authorizer {
  /** @throws {GatewayError} UNAUTHORIZED or HOST_NOT_ALLOWED when no provider recognises the client */
  identify(credentials: Credentials): Promise<Principal>;
  /** @throws {GatewayError} FORBIDDEN when the principal may not do this */
  authorize(principal: Principal, action: Action, resource?: Resource): Promise<void>;
}
