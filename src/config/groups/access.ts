import { isIP } from 'node:net';
import { z } from 'zod';
import { choice, flag, integer, MAX_PORT, origins } from '../fields.ts';

const key = z
  .string()
  .regex(/^[\x21-\x7e]*$/, 'must be printable ASCII without spaces')
  .default('');

/** HS256 needs a key as long as its hash (RFC 7518, 3.2). */
const MIN_SECRET_BYTES = 32;

const url = (isAllowed: (url: URL) => boolean, what: string) =>
  z
    .string()
    .refine((text) => text === '' || (URL.canParse(text) && isAllowed(new URL(text))), `must be ${what}, or empty`)
    .default('');

const isLoopbackHost = ({ hostname }: URL): boolean => /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
const hasNoLogin = ({ username, password }: URL): boolean => username === '' && password === '';

const isHost = (text: string): boolean => isIP(text) !== 0 || /^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(text);

const endpoint = (path: string) =>
  z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, `must be a path such as ${path}`)
    .default(path);

/** Who may call. */
export const access = {
  rest_api_key: key,
  /** May only read. */
  rest_api_read_key: key,
  /** Guards `/metrics` and `/health`. Empty: they are open. */
  metrics_key: key,
  jwt_secret: z
    .string()
    .refine((text) => text === '' || Buffer.byteLength(text) >= MIN_SECRET_BYTES, {
      error: `must have at least ${MIN_SECRET_BYTES} bytes (openssl rand -base64 48), or be empty`,
    })
    .default(''),
  /** A PEM file. */
  jwt_public_key: z.string().default(''),
  jwt_jwks_url: url(
    (parsed) =>
      hasNoLogin(parsed) && (parsed.protocol === 'https:' || (parsed.protocol === 'http:' && isLoopbackHost(parsed))),
    'an https:// URL, or http:// on loopback',
  ),
  jwt_issuer: z.string().default(''),
  jwt_audience: z.string().default(''),
  auth_url: url(
    (parsed) => hasNoLogin(parsed) && ['http:', 'https:'].includes(parsed.protocol),
    'an http:// or https:// URL without user name and password',
  ),
  auth_timeout_ms: integer(100, 60_000).default(3000),
  /** WCS's REST hooks. */
  wcs_hooks_url: url(
    (parsed) =>
      hasNoLogin(parsed) && ['http:', 'https:'].includes(parsed.protocol) && parsed.search + parsed.hash === '',
    'an http:// or https:// URL without user name, password and query',
  ),
  wcs_hooks_key: key,
  wcs_hooks_timeout_ms: integer(100, 60_000).default(15_000),
  /** Red5 Pro's round trip. */
  roundtrip_host: z
    .string()
    .refine((text) => text === '' || isHost(text), 'must be a host name or an address, or empty')
    .default(''),
  roundtrip_port: integer(1, MAX_PORT).default(3000),
  roundtrip_protocol: choice(['http', 'https']).default('http'),
  roundtrip_validate_endpoint: endpoint('/validateCredentials'),
  roundtrip_invalidate_endpoint: endpoint('/invalidateCredentials'),
  allow_anonymous: flag.default(false),
  cors_origins: origins.default([]),
};
