import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Action } from '../access/authorizer.ts';
import { hasAccessProvider } from '../config/access-providers.ts';
import type { Settings } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { comesFromForeignPage } from '../net/page-origin.ts';

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Red5's API has GET for some of these. */
const CHANGING: ReadonlySet<Action | 'identify'> = new Set(['control', 'admin'] as const);

/**
 * Without access control, a page of any site could use the browser of a client to change something: a POST without a
 * body needs no preflight. So requests of foreign pages that change something are refused.
 */
export function refuseForeignPages(app: FastifyInstance, settings: Settings): void {
  if (hasAccessProvider(settings)) return;
  app.addHook('onRequest', async (request) => {
    if (!changes(request) || !comesFromForeignPage(request.headers, settings.cors_origins)) return;
    throw new GatewayError(
      'FORBIDDEN',
      'Pages of other origins may not change anything without access control. Name the origin in cors_origins, or set rest_api_key.',
    );
  });
}

function changes({ method, routeOptions }: FastifyRequest): boolean {
  const { action } = routeOptions.config;
  return !SAFE.has(method) || (action !== undefined && CHANGING.has(action));
}
