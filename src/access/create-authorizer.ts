import { isIPv6 } from 'node:net';
import { hostname } from 'node:os';
import type { Settings } from '../config/schema.ts';
import { hasAccessProvider } from '../config/access-providers.ts';
import { DestinationPolicy } from '../net/destination-policy.ts';
import { Secret } from '../net/secret.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Store } from '../store/store.ts';
import type { AnswerSchemas } from './answer-schemas.ts';
import type { AccessProvider, Door } from './authorizer.ts';
import { CalloutProvider } from './callout-provider.ts';
import { keepFirstIn, keepFirstOrWarn, type KeepFirst } from './first-uses.ts';
import { JwtProvider, type JwtKeys } from './jwt-provider.ts';
import { LoginGuard } from './login-guard.ts';
import { MetricsKeyProvider } from './metrics-key.ts';
import { LoopbackProvider, OpenDoorsProvider, OpenProvider } from './open-access.ts';
import { ProviderChain } from './provider-chain.ts';
import { RoundTripProvider } from './round-trip-provider.ts';
import { StaticKeyProvider, type StaticKeys } from './static-key.ts';
import { WcsHookProvider } from './wcs-hooks/wcs-hook-provider.ts';
import { WcsHooks } from './wcs-hooks/wcs-hooks.ts';

export interface AuthorizerOptions {
  /** Without them, application servers may not rename streams and start pushes. */
  readonly schemas?: AnswerSchemas;
  /** Default: those of the settings. */
  readonly wcsHooks?: WcsHooks | undefined;
  /** Default: `maxDuration` of tokens counts in this process only. */
  readonly keepFirst?: KeepFirst | undefined;
}

/**
 * The providers that the settings ask for, in the order in which they are asked, behind the guard against guessing. Its
 * counts are those of a process: all doors must have the same one.
 *
 * @throws {GatewayError} SETTINGS_INVALID if a key file cannot be used
 */
export function createAuthorizer(settings: Settings, logger: Logger, options: AuthorizerOptions = {}): LoginGuard {
  const providers = hasAccessProvider(settings)
    ? configuredProviders(settings, logger, options)
    : [settings.allow_anonymous ? new OpenProvider() : new LoopbackProvider()];
  const monitoring = settings.metrics_key
    ? [new OpenDoorsProvider(['probe']), new MetricsKeyProvider(new Secret(settings.metrics_key), staticKeys(settings))]
    : [new OpenDoorsProvider(['metrics', 'probe'])];
  const chain = new ProviderChain([...monitoring, ...providers]);
  return new LoginGuard(chain, settings.max_failed_logins_per_minute);
}

export interface AccessParts {
  readonly schemas: AnswerSchemas;
  readonly store: Store;
  /** Of a cluster, for all its nodes. */
  readonly keepFirst: KeepFirst | undefined;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/**
 * Creates what decides about access to a gateway, and registers its metrics.
 *
 * @throws {GatewayError} SETTINGS_INVALID if a key file cannot be used
 */
export function createAccess(
  settings: Settings,
  { schemas, store, keepFirst = settings.state_dir ? keepFirstIn(store) : undefined, metrics, logger }: AccessParts,
): { readonly authorizer: LoginGuard; readonly wcsHooks: WcsHooks | undefined } {
  if (settings.allow_anonymous)
    logger.warn(
      'allow_anonymous=true: everybody who reaches the gateway may publish, play, push to every allowed ' +
        'destination, and control all pushes',
    );
  const wcsHooks = createWcsHooks(settings, logger);
  const authorizer = createAuthorizer(settings, logger, {
    schemas,
    wcsHooks,
    keepFirst: keepFirst && keepFirstOrWarn(keepFirst, logger),
  });
  if (wcsHooks) {
    metrics.gauge('gateway_wcs_hooks_queue', 'Notifications that wait for wcs_hooks_url.', () => wcsHooks.queued);
    metrics.total(
      'gateway_wcs_hooks_dropped_total',
      'Notifications that were dropped because too many waited for wcs_hooks_url.',
      () => wcsHooks.dropped,
    );
  }
  return { authorizer, wcsHooks };
}

/** The hooks of `wcs_hooks_url`, if it is set. */
export function createWcsHooks(settings: Settings, logger: Logger): WcsHooks | undefined {
  const { wcs_hooks_url: url, wcs_hooks_key: key, wcs_hooks_timeout_ms: timeoutMs } = settings;
  if (!url) return undefined;
  return new WcsHooks({
    url,
    key: secretOf(key),
    timeoutMs,
    policy: calloutPolicy(settings),
    nodeId: hostname(),
    logger,
  });
}

function configuredProviders(settings: Settings, logger: Logger, options: AuthorizerOptions): AccessProvider[] {
  const { schemas, wcsHooks = createWcsHooks(settings, logger), keepFirst } = options;
  const providers: AccessProvider[] = [new StaticKeyProvider(staticKeys(settings))];
  const keys = jwtKeys(settings);
  if (keys)
    providers.push(
      JwtProvider.create({ keys, issuer: settings.jwt_issuer, audience: settings.jwt_audience, keepFirst }),
    );
  if (wcsHooks) {
    // Red5 Pro's clients belong to its round trip, where there is one.
    const doors: readonly Door[] = settings.roundtrip_host
      ? ['wcs', 'whip', 'whep', 'hls']
      : ['wcs', 'whip', 'whep', 'hls', 'red5'];
    providers.push(new WcsHookProvider({ hooks: wcsHooks, doors, schemas }));
  }
  if (settings.roundtrip_host) providers.push(roundTrip(settings, logger));
  if (settings.auth_url)
    providers.push(
      new CalloutProvider({
        url: settings.auth_url,
        timeoutMs: settings.auth_timeout_ms,
        policy: calloutPolicy(settings),
        schemas,
        logger,
      }),
    );
  return providers;
}

function roundTrip(settings: Settings, logger: Logger): RoundTripProvider {
  const { roundtrip_host: host, roundtrip_port: port, roundtrip_protocol: protocol } = settings;
  const base = `${protocol}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
  return new RoundTripProvider({
    validateUrl: new URL(base + settings.roundtrip_validate_endpoint),
    invalidateUrl: new URL(base + settings.roundtrip_invalidate_endpoint),
    timeoutMs: settings.auth_timeout_ms,
    policy: calloutPolicy(settings),
    logger,
  });
}

function jwtKeys(settings: Settings): JwtKeys | undefined {
  const { jwt_secret: secret, jwt_public_key: publicKeyFile, jwt_jwks_url: jwksUrl } = settings;
  if (secret) return { secret: new Secret(secret) };
  if (publicKeyFile) return { publicKeyFile };
  return jwksUrl ? { jwksUrl } : undefined;
}

/**
 * Loopback and public addresses, and the private networks that the settings name. Restrictions of pushes to hosts do
 * not apply.
 */
export const calloutPolicy = (settings: Settings): DestinationPolicy =>
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
