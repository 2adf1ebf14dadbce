import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { KnownCredentials } from '../access/known-credentials.ts';
import { ANONYMOUS } from '../access/open-access.ts';
import { GatewayError } from '../errors.ts';
import { clientOf } from '../net/client-slots.ts';
import type { Secret } from '../net/secret.ts';
import { limitHits } from '../observe/limits.ts';
import { accessTokenCredentials, identifiedPrincipal, queryCredentials } from './authorize.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Names the client of a request where that is known better than by its key or its address. */
    countedAs?: (request: FastifyRequest) => string | undefined;
  }
}

/** Requests are counted over this time, so that bursts pass. */
const WINDOW_S = 10;
/** `/metrics` costs milliseconds, and is read a few times a minute. */
const METRICS_PER_SECOND = 10;
/** Clients whose requests are counted. The least recent ones are forgotten. */
const MAX_CLIENTS = 10_000;
const METRICS = 'metrics ';

/** Cheap, and asked by orchestrators that restart a gateway which does not answer. */
const EXEMPT: ReadonlySet<string | undefined> = new Set(['/health', '/health/live', '/health/ready']);

/**
 * Limits the requests of each client. A client is its key or token once this was accepted, otherwise its address: new
 * credentials in each request do not make new clients. `/metrics` has a count of its own.
 */
export async function limitRequests(app: FastifyInstance, perSecond: number): Promise<void> {
  const known = new KnownCredentials();
  const clientKey = (request: FastifyRequest): string => {
    const address = `ip ${clientOf(request.ip)}`;
    if (request.routeOptions.url === '/metrics') return METRICS + address;
    const counted = request.routeOptions.config.countedAs?.(request);
    if (counted !== undefined) return counted;
    const secret = presentedSecret(request);
    if (!secret) return address;
    const digest = known.digest(secret);
    return known.has(digest) ? `key ${digest}` : address;
  };
  await app.register(rateLimit, { global: false, cache: MAX_CLIENTS });
  const count = app.createRateLimit({
    max: (_, key) => WINDOW_S * (key.startsWith(METRICS) ? METRICS_PER_SECOND : perSecond),
    timeWindow: WINDOW_S * 1000,
    keyGenerator: clientKey,
  });
  app.addHook('onRequest', async (request) => {
    if (EXEMPT.has(request.routeOptions.url)) return;
    const counted = await count(request);
    if (counted.isAllowed || !counted.isExceeded) return;
    limitHits.count('max_http_requests_per_second');
    throw new GatewayError(
      'RATE_LIMITED',
      `Too many requests (max_http_requests_per_second). Try again in ${counted.ttlInSeconds} s.`,
      { retryAfterS: counted.ttlInSeconds },
    );
  });
  app.addHook('onResponse', async (request, reply) => {
    // Only what a provider has recognised and the route has authorised: an application server (auth_url) takes any token.
    if (reply.statusCode >= 400 || request.routeOptions.config.action === 'identify') return;
    const secret = presentedSecret(request);
    const principal = secret && identifiedPrincipal(request);
    if (principal && principal.id !== ANONYMOUS) known.add(known.digest(secret));
  });
}

/** The credential of a request, wherever some route takes it from. */
function presentedSecret(request: FastifyRequest): Secret | undefined {
  const { token, password } = queryCredentials(request, 'rest');
  return token ?? accessTokenCredentials(request, 'rest').token ?? password;
}
