import type { Settings } from './schema.ts';

/** The settings of which each one configures a provider that asks clients for credentials. */
export const ACCESS_PROVIDERS = [
  'rest_api_key',
  'rest_api_read_key',
  'jwt_secret',
  'jwt_public_key',
  'jwt_jwks_url',
  'wcs_hooks_url',
  'roundtrip_host',
  'auth_url',
] as const;

export const hasAccessProvider = (settings: Pick<Settings, (typeof ACCESS_PROVIDERS)[number]>): boolean =>
  ACCESS_PROVIDERS.some((key) => settings[key] !== '');
