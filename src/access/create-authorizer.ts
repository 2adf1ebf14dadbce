import type { Settings } from '../config/schema.ts';
import { hasAccessProvider } from '../config/access-providers.ts';
import { DestinationPolicy } from '../net/destination-policy.ts';
import { Secret } from '../net/secret.ts';
import type { Logger } from '../observe/logger.ts';
import type { AccessProvider, Authorizer } from './authorizer.ts';
import { CalloutProvider } from './callout-provider.ts';
import { JwtProvider, type JwtKeys } from './jwt-provider.ts';
import { MetricsKeyProvider } from './metrics-key.ts';
import { LoopbackProvider, OpenDoorsProvider, OpenProvider } from './open-access.ts';
import { ProviderChain } from './provider-chain.ts';
import { StaticKeyProvider, type StaticKeys } from './static-key.ts';

/**
 * The providers that the settings ask for, in the order in which they are asked.
 *
 * @throws {GatewayError} SETTINGS_INVALID if a key file cannot be used
 */
export function createAuthorizer(settings: Settings, logger: Logger): Authorizer {
  const providers = hasAccessProvider(settings)
    ? configuredProviders(settings, logger)
    : [settings.allow_anonymous ? new OpenProvider() : new LoopbackProvider()];
  if (!settings.metrics_key) return new ProviderChain([new OpenDoorsProvider(['metrics', 'probe']), ...providers]);
  return new ProviderChain([
    new OpenDoorsProvider(['probe']),
    new MetricsKeyProvider(new Secret(settings.metrics_key), staticKeys(settings)),
    ...providers,
  ]);
}

function configuredProviders(settings: Settings, logger: Logger): AccessProvider[] {
  const providers: AccessProvider[] = [new StaticKeyProvider(staticKeys(settings))];
  const keys = jwtKeys(settings);
  if (keys) providers.push(JwtProvider.create({ keys, issuer: settings.jwt_issuer, audience: settings.jwt_audience }));
  if (settings.auth_url)
    providers.push(
      new CalloutProvider({
        url: settings.auth_url,
        timeoutMs: settings.auth_timeout_ms,
        policy: calloutPolicy(settings),
        logger,
      }),
    );
  return providers;
}

function jwtKeys(settings: Settings): JwtKeys | undefined {
  const { jwt_secret: secret, jwt_public_key: publicKeyFile, jwt_jwks_url: jwksUrl } = settings;
  if (secret) return { secret: new Secret(secret) };
  if (publicKeyFile) return { publicKeyFile };
  return jwksUrl ? { jwksUrl } : undefined;
}

/** Loopback and public addresses, and the private networks that the settings name. Restrictions of pushes to hosts do not apply. */
const calloutPolicy = (settings: Settings): DestinationPolicy =>
  new DestinationPolicy({
    destination_allow_networks: [...settings.destination_allow_networks, '127.0.0.0/8', '::1'],
    destination_allow_hosts: [],
    destination_deny_hosts: settings.destination_deny_hosts,
  });

const staticKeys = (settings: Settings): StaticKeys => ({
  all: secretOf(settings.rest_api_key),
  read: secretOf(settings.rest_api_read_key),
});

const secretOf = (text: string): Secret | undefined => (text ? new Secret(text) : undefined);
