import { GatewayError } from '../errors.ts';
import type { AccessProvider, Action, Authorizer, Credentials, Grant, Principal, Resource } from './authorizer.ts';
import { checkRights, roomRights } from './rights.ts';

/**
 * Asks the providers in order. The first one that recognises the credential decides; if none does, access is denied.
 */
export class ProviderChain implements Authorizer {
  readonly #providers: readonly AccessProvider[];
  readonly #origins = new WeakMap<Principal, AccessProvider>();

  constructor(providers: readonly AccessProvider[]) {
    this.#providers = providers;
  }

  async identify(credentials: Credentials): Promise<Principal> {
    for (const provider of this.#providers) {
      const principal = await provider.identify(credentials);
      if (!principal) continue;
      this.#origins.set(principal, provider);
      return principal;
    }
    const how = 'Send it as "Authorization: Bearer …" or "X-Api-Key: …", on the WebSocket as authToken or ?token=.';
    const presented = credentials.token ?? credentials.password;
    throw new GatewayError(
      'UNAUTHORIZED',
      presented ? `The key or token is not valid. ${how}` : `A key or a token is required. ${how}`,
    );
  }

  async authorize(principal: Principal, action: Action, resource: Resource = {}): Promise<Grant> {
    checkRights(principal, action, resource);
    const { expiresAt } = principal;
    const grant = await this.#origins.get(principal)?.authorize?.(principal, action, resource);
    const ends = [expiresAt, grant?.endsAt].filter((time) => time !== undefined);
    const { scope } = resource;
    return {
      ...(action === 'join' && principal.rooms && scope !== undefined && { rooms: roomRights(principal, scope) }),
      ...grant,
      ...(ends.length > 0 && { endsAt: Math.min(...ends) }),
    };
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await Promise.all(this.#providers.map(async (provider) => provider.close?.()));
  }
}
