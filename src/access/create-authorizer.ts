import type { Settings } from '../config/schema.ts';
import { Secret } from '../net/secret.ts';
import type { Authorizer } from './authorizer.ts';
import { LoopbackProvider, OpenDoorsProvider, OpenProvider } from './open-access.ts';
import { ProviderChain } from './provider-chain.ts';
import { StaticKeyProvider } from './static-key.ts';

/** The providers that the settings ask for. */
export function createAuthorizer({
  rest_api_key: key,
  allow_anonymous: allowAnonymous,
}: Pick<Settings, 'rest_api_key' | 'allow_anonymous'>): Authorizer {
  const provider = key
    ? new StaticKeyProvider(new Secret(key))
    : allowAnonymous
      ? new OpenProvider()
      : new LoopbackProvider();
  return new ProviderChain([new OpenDoorsProvider(), provider]);
}
