import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Settings } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { isOwnHost } from '../net/loopback.ts';

/** Throws unless the request may control the gateway. */
export type AccessCheck = (request: FastifyRequest) => void;
/** Where else than in the headers a client may put the key. */
export type KeyElsewhere = (request: FastifyRequest) => string | undefined;

/**
 * Who may call REST: with `rest_api_key` whoever sends it; without one, on loopback, programs of this machine. Those include
 * browsers, so a request must also have been addressed to this machine by a name of its own: a page whose name was made to
 * resolve to 127.0.0.1 (DNS rebinding) gives itself away by its Host header.
 */
export function createAccessCheck(
  settings: Pick<Settings, 'rest_api_key' | 'allow_anonymous'>,
  keyElsewhere: KeyElsewhere = () => undefined,
): AccessCheck {
  if (settings.rest_api_key) return requireKey(settings.rest_api_key, keyElsewhere);
  return settings.allow_anonymous ? () => undefined : requireOwnHost;
}

/** Digests are compared, in constant time, so that neither the length nor a common beginning of the key shows. */
function requireKey(key: string, keyElsewhere: KeyElsewhere): AccessCheck {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const wanted = digest(key);
  return (request) => {
    const { headers } = request;
    const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
    const given = bearer ?? headers['x-api-key'] ?? keyElsewhere(request);
    if (typeof given === 'string' && timingSafeEqual(digest(given), wanted)) return;
    const what = given === undefined ? 'A key is needed' : 'The key is wrong';
    throw new GatewayError(
      'UNAUTHORIZED',
      `${what}: send rest_api_key as "Authorization: Bearer KEY" or "X-Api-Key: KEY".`,
    );
  };
}

function requireOwnHost({ host }: FastifyRequest): void {
  if (isOwnHost(host)) return;
  throw new GatewayError(
    'HOST_NOT_ALLOWED',
    'Without rest_api_key the gateway answers only to localhost and 127.0.0.1. Call it by one of these, or set rest_api_key, or allow_anonymous=true.',
  );
}
