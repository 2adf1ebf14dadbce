import { GatewayError } from '../errors.ts';
import type { AccessProvider, Action, Authorizer, Credentials, Principal, Resource } from './authorizer.ts';

/**
 * Asks the providers in order. The first one that recognises the credential decides; if none does, access is denied.
 */
export class ProviderChain implements Authorizer {
  readonly #providers: readonly AccessProvider[];

  constructor(providers: readonly AccessProvider[]) {
    this.#providers = providers;
  }

  async identify(credentials: Credentials): Promise<Principal> {
    for (const provider of this.#providers) {
      const principal = await provider.identify(credentials);
      if (principal) return principal;
    }
    throw new GatewayError(
      'UNAUTHORIZED',
      'A key is required: send rest_api_key as "Authorization: Bearer KEY" or "X-Api-Key: KEY".',
    );
  }

  async authorize(principal: Principal, action: Action, _resource?: Resource): Promise<void> {
    if (principal.actions.has(action)) return;
    throw new GatewayError('FORBIDDEN', `These credentials do not allow the action "${action}".`);
  }
}
